/* SPDX-License-Identifier: Apache-2.0 */
/* Linked into tests that need a GPU: without one they end at once with 77, which means "skipped", and say why. */
#include <stdio.h>
#include <unistd.h>
#include "gpu/backend.h"

__attribute__((constructor)) static void need_device(void)
{
    struct tg_error why = {0};
    if (tg_backend_find("cuda")->probe(&why) == 0)
        return;
    fprintf(stderr, "skipped: %s\n", why.message);
    _exit(77);
}
