/* SPDX-License-Identifier: Apache-2.0 */
/* In place of the cuda device where the program is built without the toolkit: present by name, and says why not. */
#include "../runners/builtin.h"
#include "faults.h"

static int absent_probe(struct tg_error *why)
{
    return tg_cuda_explain(TG_CUDA_NOT_BUILT, NULL, why);
}

static uint32_t absent_list(struct tg_device_info *out, uint32_t max)
{
    return 0;
}

static int absent_open(const struct tg_device_options *o, struct tg_device **device, struct tg_error *why)
{
    return absent_probe(why);
}

const struct tg_backend tg_backend_cuda = {
    .name = "cuda", .probe = absent_probe, .list = absent_list, .open = absent_open};

/* Of size 0: no part. */
#define RUNNER_CUDA(ident) const struct tg_runner_cuda tg_runner_cuda_##ident;
#include "../runners/builtin_cuda.def"
#undef RUNNER_CUDA
