/* SPDX-License-Identifier: Apache-2.0 */
/* In place of gpu/cuda/bare.c where the program is built without CUDA. */
#include <errno.h>
#include "gpu/cuda/bare.h"

int bare_measure(const struct bare_options *o, struct bare_figures *out)
{
    return -ENOTSUP;
}
