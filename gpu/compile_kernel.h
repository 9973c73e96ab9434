/* SPDX-License-Identifier: Apache-2.0 */
/* `taskgate compile-kernel`: what the start of the gateway makes of a user's CUDA source, seen by hand. */
#ifndef TG_GPU_COMPILE_KERNEL_H
#define TG_GPU_COMPILE_KERNEL_H

/**
 * @argv  argv[0] is only used in messages; then FILE.cu, and KEY=VALUE as in a [runner.NAME] table.
 *        After --child: the process that compiles, for gpu/runners/kernel_compile.c alone.
 * Returns an exit code: 0 it compiles, 1 it does not, 2 the command line is wrong.
 */
int tg_compile_kernel_main(int argc, char **argv);

#endif
