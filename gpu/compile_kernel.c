/* SPDX-License-Identifier: Apache-2.0 */
/* A runner instance is built of the command line as it would be of a table, which compiles its source. */
#include "compile_kernel.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/base/clock.h"
#include "runner.h"
#include "runners/kernel.h"

#define SETTINGS_MAX 32

enum { EXIT_REFUSED = 1, EXIT_USAGE = 2 };

static __attribute__((format(printf, 2, 3))) void log_line(enum tg_log_level level, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
}

static const struct tg_host host = {TG_RUNNER_ABI, sizeof(struct tg_host), log_line, clock_now_ns};

static void print_usage(FILE *out)
{
    fputs("usage: taskgate compile-kernel FILE.cu in=TYPE:COUNT out=TYPE:COUNT [KEY=VALUE]...\n"
          "  the keys are those of a [runner.NAME] table of type \"kernel\":\n",
          out);
    const struct tg_runner *r = tg_runner_find("kernel");
    for (uint32_t i = 0; i < r->option_count; i++)
        fprintf(out, "  %-12s %s\n", r->options[i].key, r->options[i].doc);
}

static int compile(const struct tg_setting *settings, uint32_t count)
{
    struct tg_problems problems = {0};
    struct tg_instance *instance;
    const struct tg_instance_options o = {.name = "kernel", .settings = settings, .setting_count = count};
    if (tg_instance_create(&host, &o, &instance, &problems) != 0) {
        fputs(problems.text, stderr);
        return EXIT_REFUSED;
    }
    const struct kernel *k = instance->self;
    printf("%s compiles: %zu bytes for the device, rows of %u bytes in and %u out\n", settings[1].value,
           k->image_bytes, instance->shape.in_bytes[0], instance->shape.out_bytes[0]);
    tg_instance_destroy(instance);
    return EXIT_SUCCESS;
}

int tg_compile_kernel_main(int argc, char **argv)
{
    struct tg_setting settings[SETTINGS_MAX] = {{.key = "type", .value = "kernel"}, {.key = "source"}};
    uint32_t count = 2;
    if (argc > 1 && strcmp(argv[1], "--child") == 0)
        return kernel_child_main(argc - 2, argv + 2);
    if (argc > 1 && strcmp(argv[1], "--help") == 0) {
        print_usage(stdout);
        return EXIT_SUCCESS;
    }
    settings[1].value = argc > 1 ? argv[1] : NULL;
    for (int i = 2; i < argc; i++) {
        char *equals = strchr(argv[i], '=');
        if (!equals || count == SETTINGS_MAX) {
            fprintf(stderr, "%s: cannot take %s\n", argv[0], argv[i]);
            settings[1].value = NULL;
            break;
        }
        *equals = '\0';
        settings[count++] = (struct tg_setting){.key = argv[i], .value = equals + 1};
    }
    if (settings[1].value)
        return compile(settings, count);
    print_usage(stderr);
    return EXIT_USAGE;
}
