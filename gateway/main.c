/* SPDX-License-Identifier: Apache-2.0 */
/* The command line: which command, and what the configuration asks for instead of serving. */
#include <stdio.h>
#include <string.h>
#include "gateway.h"
#include "gpu/runner_test.h"
#include "serve.h"

enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_CONFIG = 78 };

static void usage(FILE *out)
{
    fputs("taskgate " TASKGATE_VERSION ": takes small tasks from the network, batches them onto a device, answers.\n"
          "\n"
          "usage: taskgate [serve] [flags]            serve until SIGTERM or SIGINT (SIGHUP reloads)\n"
          "       taskgate topo [--json|--svg] [flags]    show which cpus serve would run its threads on (see --help there)\n"
          "       taskgate runner-test FILE.so ...    check a runner plugin (see --help there)\n"
          "       taskgate help | version\n"
          "\n",
          out);
}

static int help(void)
{
    usage(stdout);
    config_help(stdout);
    return EXIT_OK;
}

static int version(void)
{
    puts("taskgate " TASKGATE_VERSION);
    return EXIT_OK;
}

/* Values are checked by now; runners are checked by building them. */
static int check(struct config *config)
{
    struct gateway g;
    int rc = gateway_check(&g, config);
    if (rc == 0)
        puts("configuration is valid");
    return rc == 0 ? EXIT_OK : EXIT_CONFIG;
}

static int run(struct config *config, const struct serve_source *source)
{
    switch (config->ask) {
    case CONFIG_ASK_HELP:
        return help();
    case CONFIG_ASK_VERSION:
        return version();
    case CONFIG_ASK_CHECK:
        return check(config);
    case CONFIG_ASK_PRINT:
        config_print(stdout, config);
        return EXIT_OK;
    case CONFIG_ASK_EXAMPLE:
        config_print_example(stdout);
        return EXIT_OK;
    case CONFIG_ASK_DOCS:
        config_print_markdown(stdout);
        return EXIT_OK;
    default:
        return serve_main(config, source);
    }
}

static int serve(int argc, char **argv, char **envp)
{
    struct config config = {0};
    struct config_report report = {0};
    struct serve_source source = {argc, argv, envp};
    int code = EXIT_CONFIG;
    if (config_load(&config, argc, argv, envp, &report) == 0)
        code = run(&config, &source);
    config_report_print(&report, stderr);
    config_report_finish(&report);
    config_finish(&config);
    return code;
}

int main(int argc, char **argv, char **envp)
{
    const char *command = argc > 1 && argv[1][0] != '-' ? argv[1] : NULL;
    int skip = command ? 2 : 1;
    if (!command || strcmp(command, "serve") == 0)
        return serve(argc - skip, argv + skip, envp);
    if (strcmp(command, "topo") == 0)
        return command_topo(argc - 1, argv + 1, envp);
    if (strcmp(command, "runner-test") == 0)
        return tg_runner_test_main(argc - 1, argv + 1);
    if (strcmp(command, "help") == 0)
        return help();
    if (strcmp(command, "version") == 0)
        return version();
    fprintf(stderr, "taskgate: there is no command \"%s\" (serve, topo, runner-test, help, version)\n", command);
    return EXIT_USAGE;
}
