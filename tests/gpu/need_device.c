/* SPDX-License-Identifier: Apache-2.0 */
/* Linked into tests that need a GPU: without one they end at once with 77, which means "skipped", and say why. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "gpu/backend.h"

/* A child that compiles (compile_child.c) has limits that the driver would not live with, and needs none. */
__attribute__((constructor)) static void need_device(int argc, char **argv, char **envp)
{
    struct tg_error why = {0};
    if (argc > 1 && strcmp(argv[1], "compile-kernel") == 0)
        return;
    if (tg_backend_find("cuda")->probe(&why) == 0)
        return;
    fprintf(stderr, "skipped: %s\n", why.message);
    _exit(77);
}
