/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel of tests/conformance/scramble.cu, compiled for the host. */
#include "emulator.h"
#include "../../conformance/scramble.cu"
