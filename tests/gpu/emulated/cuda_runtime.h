/* SPDX-License-Identifier: Apache-2.0 */
/* Found in place of the toolkit's header of this name. */
#include "emulator.h"
