/* SPDX-License-Identifier: Apache-2.0 */
/* Device memory, and host memory that the device can reach. All of it is had at start and given back at the end. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "device.h"

#define ALIGN 256u
#define CHUNK_BYTES ((size_t)64 << 20)
#define PAGE 4096u

static struct cuda_chunk *new_chunk(struct tg_device *d, size_t bytes)
{
    struct cuda_chunk *c = calloc(1, sizeof(*c));
    if (!c)
        return NULL;
    c->bytes = TG_MAX(bytes, CHUNK_BYTES);
    if (CUDA(d, cudaMalloc((void **)&c->base, c->bytes)) != 0 && c->bytes > bytes) {
        c->bytes = bytes; /* a nearly full device may still have room for just this */
        c->base = NULL;
        CUDA(d, cudaMalloc((void **)&c->base, c->bytes));
    }
    if (!c->base) {
        free(c);
        return NULL;
    }
    c->next = d->chunks;
    d->chunks = c;
    return c;
}

void *cuda_alloc(struct tg_device *d, size_t bytes)
{
    bytes = (TG_MAX(bytes, (size_t)1) + ALIGN - 1) & ~(size_t)(ALIGN - 1);
    struct cuda_chunk *c = d->chunks;
    while (c && c->bytes - c->used < bytes)
        c = c->next;
    if (!c)
        c = new_chunk(d, bytes);
    if (!c)
        return NULL;
    void *at = c->base + c->used;
    c->used += bytes;
    return at;
}

void cuda_chunks_free(struct tg_device *d)
{
    while (d->chunks) {
        struct cuda_chunk *c = d->chunks;
        d->chunks = c->next;
        cudaFree(c->base);
        free(c);
    }
}

/* ---- pinning --------------------------------------------------------------------------------------------- */

static int add_pin(struct tg_device *d, char *base, size_t bytes)
{
    void *device = NULL;
    int rc = CUDA(d, cudaHostGetDevicePointer(&device, base, 0));
    if (rc != 0)
        return rc;
    d->pins[d->pin_count++] = (struct cuda_pin){base, bytes, device};
    d->pinned_bytes += bytes;
    return 0;
}

static int pin(struct tg_device *d, char *base, size_t bytes)
{
    int rc = CUDA(d, cudaHostRegister(base, bytes, cudaHostRegisterMapped | cudaHostRegisterPortable));
    if (rc == 0 && (rc = add_pin(d, base, bytes)) != 0)
        CUDA(d, cudaHostUnregister(base));
    return rc;
}

/* Memory over the budget and memory that the system will not lock is served unpinned: slower, not wrong. */
int cuda_pin(struct tg_device *d, void *base, size_t bytes)
{
    char *from = (char *)((uintptr_t)base & ~(uintptr_t)(PAGE - 1));
    size_t whole = ((char *)base + bytes - from + PAGE - 1) & ~(size_t)(PAGE - 1);
    struct cuda_pin *more = realloc(d->pins, (d->pin_count + 1) * sizeof(*more));
    if (!more)
        return -ENOMEM;
    d->pins = more;
    if (d->pinned_bytes + whole > d->settings.pin_mib << 20)
        return 0;
    int rc = cuda_enter(d);
    if (rc == 0 && pin(d, from, whole) != 0)
        d->host->log(TG_LOG_WARN, "cuda:%d: %zu bytes of lane memory stay unpinned", d->ordinal, whole);
    return d->broken ? d->broken_error : cuda_errno(rc);
}

void cuda_unpin_all(struct tg_device *d)
{
    for (uint32_t i = 0; i < d->pin_count; i++)
        cudaHostUnregister(d->pins[i].base);
    free(d->pins);
    d->pins = NULL;
    d->pin_count = 0;
}

/* A lane a pin: some dozens at most, and batches come from few lanes. */
char *cuda_address(const struct tg_device *d, const void *at, size_t bytes)
{
    for (uint32_t i = 0; i < d->pin_count; i++) {
        const struct cuda_pin *p = &d->pins[i];
        size_t offset = (uintptr_t)at - (uintptr_t)p->base; /* wraps to something huge if it lies before */
        if (offset < p->bytes && bytes <= p->bytes - offset)
            return p->device + offset;
    }
    return NULL;
}

int cuda_host_alloc(struct tg_device *d, size_t bytes, void *host, void *device)
{
    void *memory = NULL, *seen = NULL;
    int rc = CUDA(d, cudaHostAlloc(&memory, bytes, cudaHostAllocMapped | cudaHostAllocPortable));
    if (rc != 0)
        return rc;
    rc = CUDA(d, cudaHostGetDevicePointer(&seen, memory, 0));
    if (rc != 0) {
        cudaFreeHost(memory);
        return rc;
    }
    memset(memory, 0, bytes);
    memcpy(host, &memory, sizeof(memory));
    memcpy(device, &seen, sizeof(seen));
    return 0;
}
