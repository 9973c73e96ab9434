/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Found in place of the toolkit's header of this name. Copies are done when they are waited for, and not a moment
 * earlier: a missing wait shows as stale data.
 */
#ifndef TG_TEST_CUDA_PIPELINE_H
#define TG_TEST_CUDA_PIPELINE_H

#include <stddef.h>

/** The last @zeros of @bytes at @to become zero, the others are copied. */
void __pipeline_memcpy_async(void *to, const void *from, size_t bytes, size_t zeros = 0);
void __pipeline_commit();
/** Do all copies of this thread but those of the last @groups that were committed. */
void __pipeline_wait_prior(size_t groups);

#endif
