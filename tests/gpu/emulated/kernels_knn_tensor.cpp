/* SPDX-License-Identifier: Apache-2.0 */
/* The kernels of gpu/cuda/knn_tensor.cu, compiled for the host. */
#include "emulator.h"
#include "../../../gpu/cuda/knn_tensor.cu"
