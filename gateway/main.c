/* SPDX-License-Identifier: Apache-2.0 */
/* The command line: which command, and what the configuration asks for instead of serving. */
#include <stdio.h>
#include <string.h>
#include "command/command.h"
#include "command/register.h"
#include "devnet/devnet.h"
#include "gateway.h"
#include "gateway/base/nearest.h"
#include "gpu/compile_kernel.h"
#include "gpu/runner_test.h"
#include "gateway/checks/host_checks.h"
#include "serve.h"

static const struct {
    const char *name, *arguments, *summary;
    int (*run)(int argc, char **argv, char **envp);
} commands[] = {
#define COMMAND(ident, name, arguments, summary) {name, arguments, summary, command_##ident},
#include "command/commands.def"
};

static void usage(FILE *out)
{
    fputs("taskgate " TASKGATE_VERSION
          ": takes small tasks from the network, batches them onto a device, answers.\n\n"
          "usage: taskgate COMMAND ... (--help after it tells more)\n\n",
          out);
    for (size_t i = 0; i < TG_ARRAY_SIZE(commands); i++) {
        char usage_of[48];
        snprintf(usage_of, sizeof(usage_of), "%s %s", commands[i].name, commands[i].arguments);
        fprintf(out, "  taskgate %-24s %s\n", usage_of, commands[i].summary);
    }
    fputs("\n", out);
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

static int failure(const struct gateway *g)
{
    return g->misconfigured ? EXIT_CONFIG : EXIT_FAILED;
}

/* Values are checked by now; runners are checked by building them. */
static int check(struct config *config)
{
    struct gateway g;
    int rc = gateway_check(&g, config);
    if (rc == 0)
        puts("configuration is valid");
    return rc == 0 ? EXIT_OK : failure(&g);
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

/* ---- commands ---------------------------------------------------------------------------------------- */

int command_serve(int argc, char **argv, char **envp)
{
    return serve(argc - 1, argv + 1, envp);
}

int command_help(int argc, char **argv, char **envp)
{
    (void)argc, (void)argv, (void)envp;
    return help();
}

int command_version(int argc, char **argv, char **envp)
{
    (void)argc, (void)argv, (void)envp;
    return version();
}

int command_runner_test(int argc, char **argv, char **envp)
{
    (void)envp;
    return tg_runner_test_main(argc, argv);
}

int command_compile_kernel(int argc, char **argv, char **envp)
{
    (void)envp;
    return tg_compile_kernel_main(argc, argv);
}

int command_devnet(int argc, char **argv, char **envp)
{
    (void)envp;
    return devnet_main(argc, argv);
}

int command_doctor(int argc, char **argv, char **envp)
{
    return doctor_main(argc, argv, envp, &host_checks);
}

static int describe(void *context, struct config *config, struct directory_options *out)
{
    return gateway_describe(context, config, out) == 0 ? EXIT_OK : failure(context);
}

static void forget(void *context)
{
    gateway_stop(context);
}

int command_register(int argc, char **argv, char **envp)
{
    static struct gateway g; /* large */
    const struct register_node node = {&g, describe, forget};
    return register_main(argc, argv, envp, &node);
}

static int unknown(const char *word)
{
    const char *names[TG_ARRAY_SIZE(commands)];
    for (size_t i = 0; i < TG_ARRAY_SIZE(commands); i++)
        names[i] = commands[i].name;
    const char *near = nearest_word(word, names, TG_ARRAY_SIZE(names));
    fprintf(stderr, "taskgate: there is no command \"%s\"%s%s%s (see taskgate help)\n", word,
            near ? ", did you mean \"" : "", near ? near : "", near ? "\"?" : "");
    return EXIT_USAGE;
}

int main(int argc, char **argv, char **envp)
{
    if (argc < 2 || argv[1][0] == '-')
        return serve(argc > 0 ? argc - 1 : 0, argv + 1, envp);
    for (size_t i = 0; i < TG_ARRAY_SIZE(commands); i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].run(argc - 1, argv + 1, envp);
    return unknown(argv[1]);
}
