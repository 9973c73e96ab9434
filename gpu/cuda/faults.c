/* SPDX-License-Identifier: Apache-2.0 */
/* The tables behind faults.h. */
#include <errno.h>
#include "faults.h"

static const struct tg_cuda_fault faults[] = {
#define CUDA_FAULT(name, code, class, error) {#name, code, TG_FAULT_##class, -error},
#include "cuda_faults.def"
#undef CUDA_FAULT
};

static const struct tg_cuda_fault unknown = {"unknown CUDA error", -1, TG_FAULT_STICKY, -EIO};

const struct tg_cuda_fault *tg_cuda_fault_of(int code)
{
    for (size_t i = 0; i < TG_ARRAY_SIZE(faults); i++)
        if (faults[i].code == code)
            return &faults[i];
    return &unknown;
}

struct tg_cuda_fault tg_cuda_fault_of_launch(int rc)
{
    if (rc > 0)
        return *tg_cuda_fault_of(rc);
    return (struct tg_cuda_fault){"the runner's own error", rc, TG_FAULT_TASK, rc};
}

/* ---- why there is no device ------------------------------------------------------------------------------ */

static const struct {
    const char *word, *text;
    int error;
} reasons[TG_CUDA_REASONS] = {
#define CUDA_REASON(id, word, error, text) [TG_CUDA_##id] = {word, text, error},
#include "cuda_reasons.def"
#undef CUDA_REASON
};

/* The same code is returned for a driver that is missing and for one that is too old: its version tells. */
enum tg_cuda_reason tg_cuda_judge(const struct tg_cuda_sight *seen)
{
    enum { INSUFFICIENT_DRIVER = 35, STUB_LIBRARY = 34, NO_CUDA_DEVICE = 100, SYSTEM_MISMATCH = 803 };
    if (seen->driver_version == 0 || seen->count_rc == STUB_LIBRARY)
        return TG_CUDA_NO_DRIVER;
    if (seen->driver_version / 1000 < seen->runtime_version / 1000 || seen->count_rc == INSUFFICIENT_DRIVER ||
        seen->count_rc == SYSTEM_MISMATCH)
        return TG_CUDA_OLD_DRIVER;
    if (seen->count_rc == NO_CUDA_DEVICE || (seen->count_rc == 0 && seen->count == 0))
        return TG_CUDA_NO_DEVICE;
    return seen->count_rc == 0 && seen->driver_rc == 0 ? TG_CUDA_USABLE : TG_CUDA_LOST;
}

int tg_cuda_explain(enum tg_cuda_reason reason, const struct tg_cuda_sight *seen, struct tg_error *why)
{
    if (reason == TG_CUDA_OLD_DRIVER)
        tg_error_set(why, reasons[reason].word, "%s: it speaks CUDA %d.%d, %d.0 is needed", reasons[reason].text,
                     seen->driver_version / 1000, seen->driver_version % 1000 / 10, seen->runtime_version / 1000);
    else if (reason == TG_CUDA_LOST)
        tg_error_set(why, reasons[reason].word, "%s: %s", reasons[reason].text,
                     tg_cuda_fault_of(seen->count_rc ? seen->count_rc : seen->driver_rc)->name);
    else if (reason != TG_CUDA_USABLE)
        tg_error_set(why, reasons[reason].word, "%s", reasons[reason].text);
    return -reasons[reason].error;
}

const char *tg_cuda_reason_word(enum tg_cuda_reason reason)
{
    return reasons[reason].word;
}
