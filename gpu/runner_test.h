/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The harness behind `taskgate runner-test`: loads a plugin, puts it through what tg/runner.h demands, and
 * prints a line for every check. The runner's code runs in a child process, so one that crashes gets a line
 * too.
 */
#ifndef TG_GPU_RUNNER_TEST_H
#define TG_GPU_RUNNER_TEST_H

/**
 * @argv  argv[0] is only used in messages; then PLUGIN.so or the type of a
 *        built-in runner, [--option KEY=VALUE]... [--payload JSON]... [--rows N]
 * Returns an exit code: 0 all checks passed, 1 some failed, 2 the command line is wrong.
 */
int tg_runner_test_main(int argc, char **argv);

#endif
