/* SPDX-License-Identifier: Apache-2.0 */
/* A user kernel on an emulated runtime whose calls fail: every one of them, with codes of every class. */
#include "stage.h"

#include "emulated/cuda_runtime_api.h"
#include "gpu/runners/kernel.h"

TestSuite(kernel_fail, .timeout = 240);

static struct tg_instance *instance;
static struct tg_device *device;
static struct tg_error why;

static void create(void)
{
    const struct tg_setting settings[] = {{"type", "kernel", NULL},  {"source", EXAMPLES "/haversine.cu", NULL},
                                          {"nvrtc", NVRTC, NULL},    {"function", "distance", NULL},
                                          {"in", "f64:4", NULL},     {"out", "f64:1", NULL},
                                          {"params", "radius:f64=1", NULL}};
    const struct tg_instance_options o = {.name = "t", .settings = settings, .setting_count = TG_ARRAY_SIZE(settings)};
    struct tg_problems problems = {0};
    cr_assert_eq(tg_instance_create(&host, &o, &instance, &problems), 0, "%s", problems.text);
}

static const struct tg_backend *backend(void)
{
    return tg_backend_find("cuda");
}

static void open_device(void)
{
    struct tg_device_options o = {.host = &host, .streams = STREAMS, .spec = "direct_kib=64"};
    why = (struct tg_error){0};
    cr_assert_eq(backend()->open(&o, &device, &why), 0, "%s", why.message);
}

static int load(void)
{
    return backend()->load(device, instance->runner, instance->self, &why);
}

/* Only graphs are done without; any other failure ends the load with a reason, and nothing is left behind. */
static void fail_each_call_of_the_load(int code)
{
    open_device();
    uint64_t calls = emulator_calls(), failed = 0;
    cr_assert_eq(load(), 0, "%s", why.message);
    calls = emulator_calls() - calls;
    backend()->close(device);
    for (uint64_t nth = 1; nth <= calls; nth += nth < 60 ? 1 : 17) {
        open_device();
        emulator_fail(nth, code);
        int rc = load();
        emulator_fail(0, code);
        failed += rc < 0;
        cr_assert_leq(rc, 0);
        cr_assert(rc == 0 || why.message[0], "call %lu", (unsigned long)nth);
        cr_assert(nth > 2 || strstr(why.message, "the compiled kernel cannot be loaded: cudaError"), "%s", why.message);
        backend()->close(device);
        emulator_fail(0, 0);
        cr_assert_eq(emulator_leaks(), 0, "call %lu of %lu", (unsigned long)nth, (unsigned long)calls);
    }
    cr_assert_gt(failed, 5);
}

Test(kernel_fail, a_load_that_fails_at_any_call_says_why_and_leaves_nothing_behind)
{
    create();
    fail_each_call_of_the_load(cudaErrorMemoryAllocation);
    fail_each_call_of_the_load(cudaErrorIllegalAddress);
    tg_instance_destroy(instance);
}

Test(kernel_fail, what_a_driver_says_of_an_image_is_explained)
{
    create();
    open_device();
    emulator_fail(1, cudaErrorUnsupportedPtxVersion);
    cr_assert_neq(load(), 0);
    cr_assert_not_null(strstr(why.message, "the driver is older than NVRTC: set arch = \"sm_NN\""), "%s", why.message);
    emulator_fail(1, cudaErrorNoKernelImageForDevice);
    cr_assert_neq(load(), 0);
    cr_assert_not_null(strstr(why.message, "arch is that of another device"), "%s", why.message);
    emulator_fail(0, 0);
    backend()->close(device);
    tg_instance_destroy(instance);
}

/* The image is the instance's: a device that was lost is opened again with it, and no compiler is asked. */
Test(kernel_fail, a_device_that_died_is_loaded_again_from_the_same_image)
{
    create();
    const void *image = ((const struct kernel *)instance->self)->image;
    for (int life = 0; life < 3; life++) {
        open_device();
        cr_assert_eq(load(), 0, "%s", why.message);
        emulator_fail(1, cudaErrorIllegalAddress);
        cr_assert_neq(load(), 0);
        backend()->close(device);
        emulator_fail(0, 0);
    }
    cr_assert_eq(((const struct kernel *)instance->self)->image, image);
    cr_assert_eq(emulator_leaks(), 0);
    tg_instance_destroy(instance);
}
