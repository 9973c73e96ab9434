/* SPDX-License-Identifier: Apache-2.0 */
/* The scramble runner where no kernels are built: nothing for a GPU. */
#include "scramble.h"

const struct tg_runner_cuda scramble_cuda;
