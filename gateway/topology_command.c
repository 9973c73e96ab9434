/* SPDX-License-Identifier: Apache-2.0 */
/* `taskgate topo`: the plan that `serve` with the same flags would follow, as text, JSON or a picture. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "gateway.h"
#include "gateway/base/log.h"
#include "topology/print.h"

enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_CONFIG = 78 };

enum form { FORM_TEXT, FORM_JSON, FORM_SVG };

struct request {
    enum form form;
    bool help;
    const char *machine;
    int argc; /* what is left: the configuration's flags */
    char **argv;
};

static int usage(FILE *out)
{
    fputs("usage: taskgate topo [--json | --svg] [--machine FILE.xml] [flags of serve]\n"
          "\n"
          "Prints where `taskgate serve` with these flags would run its workers and executors, and why.\n"
          "  --json          as one JSON object\n"
          "  --svg           as a picture\n"
          "  --machine FILE  for the machine that hwloc's XML describes (lstopo FILE.xml writes it there), or for\n"
          "                  one in words: --machine \"synthetic:package:2 core:8 pu:2\"\n",
          out);
    return EXIT_OK;
}

/* Takes ours out. False having said what is missing. */
static bool read_arguments(struct request *r, int argc, char **argv)
{
    static const char machine[] = "--machine";
    for (int i = 1; i < argc; i++) {
        bool takes_next = strcmp(argv[i], machine) == 0;
        if (strcmp(argv[i], "--json") == 0)
            r->form = FORM_JSON;
        else if (strcmp(argv[i], "--svg") == 0)
            r->form = FORM_SVG;
        else if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            r->help = true;
        else if (takes_next && i + 1 < argc)
            r->machine = argv[++i];
        else if (!takes_next && strncmp(argv[i], machine, strlen(machine)) == 0 && argv[i][strlen(machine)] == '=')
            r->machine = argv[i] + strlen(machine) + 1;
        else
            r->argv[r->argc++] = argv[i];
        if (takes_next && !r->machine)
            return fputs("--machine: wants a file\n", stderr), false;
    }
    return true;
}

static int print(const struct topology *t, enum form form)
{
    int rc = 0;
    if (form == FORM_JSON)
        rc = topology_print_json(stdout, &t->machine, &t->plan);
    else if (form == FORM_SVG)
        topology_print_svg(stdout, &t->machine, &t->plan);
    else
        topology_print_text(stdout, &t->machine, &t->plan);
    return rc == 0 && fflush(stdout) == 0 ? EXIT_OK : EXIT_FAILED;
}

static int plan_and_print(const struct request *r, struct config *config)
{
    struct gateway g;
    int code = EXIT_CONFIG;
    log_configure(TG_LOG_WARN, LOG_TEXT); /* what runners have to say as they are made is not asked for */
    if (gateway_plan(&g, config, r->machine) == 0)
        code = print(g.topology, r->form);
    gateway_stop(&g);
    return code;
}

static int with_config(const struct request *r, char **envp)
{
    struct config config = {0};
    struct config_report report = {0};
    int code = EXIT_CONFIG;
    if (config_load(&config, r->argc, r->argv, envp, &report) == 0)
        code = plan_and_print(r, &config);
    config_report_print(&report, stderr);
    config_report_finish(&report);
    config_finish(&config);
    return code;
}

int command_topo(int argc, char **argv, char **envp)
{
    struct request r = {.argv = calloc((size_t)argc + 1, sizeof(char *))};
    int code = EXIT_USAGE;
    if (!r.argv)
        return EXIT_FAILED;
    if (read_arguments(&r, argc, argv))
        code = r.help ? usage(stdout) : with_config(&r, envp);
    free(r.argv);
    return code;
}
