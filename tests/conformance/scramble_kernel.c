/* SPDX-License-Identifier: Apache-2.0 */
/* The scramble runner's part for a GPU. */
#include "scramble.h"
#include "scramble_kernel.h"

_Static_assert(SCRAMBLE_KERNEL_REFUSE == SCRAMBLE_REFUSE, "the kernel knows the flag");
_Static_assert(SCRAMBLE_KERNEL_INVALID == TG_INVALID, "the kernel knows the status");

static int launch(void *self, const void *state, const struct tg_cuda_batch *batch)
{
    return scramble_kernel(batch);
}

const struct tg_runner_cuda scramble_cuda = {
    .size = sizeof(struct tg_runner_cuda), .launch = launch};
