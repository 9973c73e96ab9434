/* SPDX-License-Identifier: Apache-2.0 */
/* The cuda backend's table: is there a device, which one, and its beginning and end. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "device.h"

#define STREAMS_MAX 1024

/* ---- is there one? --------------------------------------------------------------------------------------- */

static struct tg_cuda_sight look_around(void)
{
    struct tg_cuda_sight seen = {0};
    seen.driver_rc = (int)cudaDriverGetVersion(&seen.driver_version);
    cudaRuntimeGetVersion(&seen.runtime_version);
    seen.count_rc = (int)cudaGetDeviceCount(&seen.count);
    cudaGetLastError();
    return seen;
}

/* This begins the driver in the calling process: one that wants to fork afterwards must ask in a child. */
static int cuda_probe(struct tg_error *why)
{
    struct tg_cuda_sight seen = look_around();
    return tg_cuda_explain(tg_cuda_judge(&seen), &seen, why);
}

static uint64_t cuda_lock_bytes_max(const char *spec)
{
    struct tg_cuda_settings settings;
    struct tg_error why;
    return tg_cuda_settings_parse(spec, &settings, &why) == 0 ? settings.pin_mib << 20 : 0;
}

static void write_bus(const struct cudaDeviceProp *p, char text[static 16])
{
    snprintf(text, 16, "%04x:%02x:%02x.0", p->pciDomainID & 0xffff, p->pciBusID & 0xff, p->pciDeviceID & 0xff);
}

/* As probe(): in a process of its own, by who wants to fork. */
static uint32_t cuda_list(struct tg_device_info *out, uint32_t max)
{
    struct cudaDeviceProp p;
    int count = 0, rc = cudaGetDeviceCount(&count);
    uint32_t n = 0;
    for (; rc == 0 && n < max && n < (uint32_t)count; n++) {
        rc = cudaGetDeviceProperties(&p, (int)n);
        if (rc != 0)
            break;
        out[n] = (struct tg_device_info){.memory_bytes = p.totalGlobalMem};
        snprintf(out[n].name, sizeof(out[n].name), "%.40s", p.name);
        tg_cuda_uuid_write(p.name, (const unsigned char *)p.uuid.bytes, out[n].gpu);
        write_bus(&p, out[n].bus);
    }
    return n;
}

/* ---- opening --------------------------------------------------------------------------------------------- */

static int take(struct tg_device *d, int ordinal, const struct cudaDeviceProp *p)
{
    int rc = cudaSetDevice(ordinal); /* may fail although it is listed: another process has it to itself */
    if (rc != 0)
        return rc;
    d->ordinal = ordinal;
    snprintf(d->name, sizeof(d->name), "cuda:%d %.40s", ordinal, p->name);
    tg_cuda_uuid_write(p->name, (const unsigned char *)p->uuid.bytes, d->gpu);
    write_bus(p, d->bus);
    d->memory_bytes = p->totalGlobalMem;
    d->multiprocessors = (uint32_t)p->multiProcessorCount;
    return 0;
}

/* The device that the settings name. */
static int choose(struct tg_device *d, struct tg_error *why)
{
    struct cudaDeviceProp p;
    int count = 0, rc = cudaGetDeviceCount(&count);
    for (int i = 0; rc == 0 && i < count; i++) {
        rc = cudaGetDeviceProperties(&p, i);
        if (rc == 0 && tg_cuda_device_matches(d->settings.device, (uint32_t)i, (const unsigned char *)p.uuid.bytes))
            return take(d, i, &p);
    }
    if (rc == 0)
        tg_error_set(why, "device", "no device is \"%s\"; there are %d", d->settings.device, count);
    return rc ? rc : -ENODEV;
}

static int init_slots(struct tg_device *d)
{
    int rc = CUDA(d, cudaStreamCreateWithFlags(&d->load_stream, cudaStreamNonBlocking));
    for (uint32_t i = 0; rc == 0 && i < d->stream_count; i++)
        rc = cuda_slot_init(d, &d->slots[i]);
    return rc;
}

static int begin(struct tg_device *d, struct tg_error *why)
{
    int rc = cuda_probe(why);
    if (rc == 0)
        rc = choose(d, why);
    if (rc == 0)
        rc = cuda_enter(d);
    if (rc == 0)
        rc = init_slots(d);
    return rc == 0 ? cuda_measure(d) : rc;
}

static void cuda_close(struct tg_device *d);

static int open_device(struct tg_device *d, struct tg_error *why)
{
    int rc = begin(d, why);
    if (rc == 0)
        return 0;
    if (!why->message[0])
        tg_error_set(why, "", "device %s cannot be opened: %s", d->settings.device,
                     rc > 0 ? tg_cuda_fault_of(rc)->name : strerror(-rc));
    cuda_close(d);
    return cuda_errno(rc);
}

static int check(const struct tg_device_options *o, struct tg_error *why)
{
    if (o->streams > 0 && o->streams <= STREAMS_MAX)
        return 0;
    tg_error_set(why, "streams", "%u streams: 1 to %u are possible", o->streams, STREAMS_MAX);
    return -EINVAL;
}

static int cuda_open(const struct tg_device_options *o, struct tg_device **device, struct tg_error *why)
{
    struct tg_cuda_settings settings;
    int rc = check(o, why);
    if (rc == 0)
        rc = tg_cuda_settings_parse(o->spec, &settings, why);
    if (rc != 0)
        return rc;
    struct tg_device *d = calloc(1, sizeof(*d) + o->streams * sizeof(d->slots[0]));
    if (!d)
        return -ENOMEM;
    d->backend = &tg_backend_cuda;
    d->host = o->host;
    d->settings = settings;
    d->buffer_bytes = settings.buffer_kib << 10;
    d->stream_count = o->streams;
    why->message[0] = '\0';
    rc = open_device(d, why);
    if (rc == 0)
        *device = d;
    return rc;
}

/* What still runs is waited for: it reads and writes lanes. On a broken device every call fails and is let. */
static void cuda_close(struct tg_device *d)
{
    cudaSetDevice(d->ordinal);
    cudaDeviceSynchronize();
    cuda_unload_all(d);
    for (uint32_t i = 0; i < d->stream_count; i++)
        cuda_slot_finish(&d->slots[i]);
    if (d->load_stream)
        cudaStreamDestroy(d->load_stream);
    cuda_unpin_all(d);
    cuda_chunks_free(d);
    cudaGetLastError();
    free(d);
}

static void cuda_describe(const struct tg_device *d, struct tg_device_info *info)
{
    *info = (struct tg_device_info){.memory_bytes = d->memory_bytes};
    memcpy(info->name, d->name, sizeof(info->name));
    memcpy(info->bus, d->bus, sizeof(info->bus));
    snprintf(info->gpu, sizeof(info->gpu), "%s", d->gpu);
}

const struct tg_backend tg_backend_cuda = {
    .name = "cuda",
    .probe = cuda_probe,
    .lock_bytes_max = cuda_lock_bytes_max,
    .list = cuda_list,
    .open = cuda_open,
    .close = cuda_close,
    .describe = cuda_describe,
    .attach = cuda_pin,
    .load = cuda_load,
    .submit = cuda_submit,
    .poll = cuda_poll,
};
