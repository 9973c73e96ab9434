/* SPDX-License-Identifier: Apache-2.0 */
/* Every CUDA call of this folder passes through here. */
#include "device.h"

/* The toolkit's own values, so that the table can do without its headers elsewhere. */
#define CUDA_FAULT(name, code, class, error) _Static_assert((int)(name) == (code), #name);
#include "cuda_faults.def"
#undef CUDA_FAULT

/* Which device is current is a property of the thread: it may open the device in one and serve in another. */
static _Thread_local int entered = -1;

int cuda_enter(struct tg_device *d)
{
    if (TG_LIKELY(entered == d->ordinal))
        return 0;
    int rc = CUDA(d, cudaSetDevice(d->ordinal));
    if (rc == 0)
        entered = d->ordinal;
    return rc;
}

static void remember(struct tg_device *d, const struct tg_cuda_fault *fault)
{
    if (d->broken || (fault->fault != TG_FAULT_STICKY && fault->fault != TG_FAULT_LOST))
        return;
    d->broken = fault->fault;
    d->broken_error = fault->error;
}

/* "Not ready" too is left behind for cudaGetLastError(), where the next launch would take it for its own failure. */
int cuda_check(struct tg_device *d, int code, const char *call)
{
    if (TG_LIKELY(code == cudaSuccess))
        return code;
    cudaGetLastError();
    if (code == cudaErrorNotReady)
        return code;
    const struct tg_cuda_fault *fault = tg_cuda_fault_of(code);
    if (!d->broken)
        d->host->log(TG_LOG_ERROR, "cuda:%d: %.60s: %s (%d)", d->ordinal, call, fault->name, code);
    remember(d, fault);
    return code;
}

int cuda_errno(int code)
{
    return code == 0 ? 0 : code < 0 ? code : tg_cuda_fault_of(code)->error;
}

void cuda_job_fault(struct tg_device *d, struct tg_job *job, int rc)
{
    struct tg_cuda_fault fault = tg_cuda_fault_of_launch(rc);
    job->fault = d->broken ? d->broken : fault.fault;
    job->error = d->broken ? d->broken_error : fault.error;
}
