/* SPDX-License-Identifier: Apache-2.0 */
/* `taskgate doctor`: is there a GPU for whom this configuration wants one, and do driver and libraries fit? */
#include "gpu_checks.h"
#include <dlfcn.h>
#include <string.h>
#include "gateway/telemetry/library.h"
#include "host_checks.h"

/* ---- the GPU ---------------------------------------------------------------------------------------------- */

/* By the reason's word; the last row is for reasons without one. */
static const struct {
    const char *word, *todo;
} remedies[] = {
    {"not_built", "build taskgate where nvcc 13 is found (docs/gpu.md)"},
    {"no_driver",
     "install NVIDIA's driver, R580 or newer; start a container with its GPUs (docker run --gpus all)"},
    {"driver_too_old", "update NVIDIA's driver to R580 or newer"},
    {"no_device", "does nvidia-smi -L list one? Then see CUDA_VISIBLE_DEVICES, the rights on /dev/nvidia*, "
                  "the container's devices"},
    {"device_lost", "nvidia-smi and the kernel's log (Xid) say more; nvidia-smi --gpu-reset, or restart the host"},
    {"", "try again: the system refused the question, not the driver"},
};

static const char *remedy_for(const char *word)
{
    size_t i = 0;
    while (remedies[i].word[0] && strcmp(remedies[i].word, word) != 0)
        i++;
    return remedies[i].todo;
}

/* Without driver and without a GPU on the bus nobody misses anything, unless it was asked for. */
static void judge_unusable(const struct host_sight *s, struct doctor_finding *f)
{
    const char *why = s->probe.why.message, *todo = remedy_for(s->probe.why.field);
    if (s->wish == GPU_REQUIRED)
        doctor_say(f, DOCTOR_FAIL, DOCTOR_LOCAL_UNHEALTHY, todo, "%s = \"cuda\", but: %s", s->who, why);
    else if (s->gpus_on_bus > 0)
        doctor_say(f, DOCTOR_WARN, DOCTOR_HEALTHY, todo, "%u on the bus, but: %s; the cpu serves",
                   s->gpus_on_bus, why);
    else if (s->driver > 0)
        doctor_say(f, DOCTOR_WARN, DOCTOR_HEALTHY, todo, "%s; the cpu serves", why);
    else
        doctor_say(f, DOCTOR_OK, DOCTOR_HEALTHY, "", "none: %s; the cpu serves", why);
}

void gpu_judge(const struct host_sight *s, struct doctor_finding *f)
{
    if (s->wish == GPU_UNWANTED)
        doctor_say(f, DOCTOR_OK, DOCTOR_HEALTHY, "",
                   "not wanted: executor.device leaves none to the runners");
    else if (s->withheld)
        doctor_say(f, DOCTOR_FAIL, DOCTOR_LOCAL_UNHEALTHY, "set executor.device to \"auto\" or \"cuda\"",
                   "%s = \"cuda\", and executor.device leaves no GPU to it", s->who);
    else if (s->probe.rc < 0)
        judge_unusable(s, f);
    else
        doctor_say(f, DOCTOR_OK, DOCTOR_HEALTHY, "", "usable: the driver answers and has a device");
}

void check_gpu(struct doctor *d, struct doctor_finding *f)
{
    gpu_judge(host_sight(d->config), f);
}

/* ---- versions and libraries ------------------------------------------------------------------------------- */

#define VERSION "%d.%d"
#define VERSION_ARG(v) (v) / 1000, (v) % 1000 / 10

static void judge_versions(const struct toolkit_sight *s, struct doctor_finding *f)
{
    char driver[48] = "no driver", built[48] = "built without CUDA";
    if (s->driver)
        snprintf(driver, sizeof(driver), "the driver speaks " VERSION, VERSION_ARG(s->driver));
    if (s->built)
        snprintf(built, sizeof(built), "built with CUDA " VERSION, VERSION_ARG(s->built));
    doctor_say(f, DOCTOR_OK, DOCTOR_HEALTHY, "", "%s, %s; nvrtc: %s; nvml: %s", built, driver,
               s->nvrtc ? s->nvrtc : "none", s->nvml ? s->nvml : "none");
}

void toolkit_judge(const struct toolkit_sight *s, struct doctor_finding *f)
{
    if (s->kernels && !s->nvrtc)
        doctor_say(
            f, DOCTOR_FAIL, DOCTOR_LOCAL_UNHEALTHY,
            "install libnvrtc of CUDA 13 (package cuda-nvrtc-13-0), or put its folder into LD_LIBRARY_PATH",
            "a runner of type kernel is compiled at start, and libnvrtc cannot be loaded");
    else if (s->wish != GPU_UNWANTED && s->built && s->driver && s->driver / 1000 < s->built / 1000)
        doctor_say(f, s->wish == GPU_REQUIRED ? DOCTOR_FAIL : DOCTOR_WARN,
                   s->wish == GPU_REQUIRED ? DOCTOR_LOCAL_UNHEALTHY : DOCTOR_HEALTHY,
                   "update NVIDIA's driver to R580 or newer",
                   "built with CUDA " VERSION ", the driver speaks " VERSION, VERSION_ARG(s->built),
                   VERSION_ARG(s->driver));
    else if (s->wish != GPU_UNWANTED && s->driver && s->nvml_wanted[0] && !s->nvml)
        doctor_say(
            f, DOCTOR_WARN, DOCTOR_HEALTHY,
            "install it with the driver (in a container: NVIDIA_DRIVER_CAPABILITIES=compute,utility), or set "
            "telemetry.nvml = \"\"",
            "a driver, but %s cannot be loaded: no readings of the GPUs", s->nvml_wanted);
    else
        judge_versions(s, f);
}

/* Once loaded it stays: it does not give back all that it takes. */
static const char *find_nvrtc(void)
{
    static const char *const names[] = {"libnvrtc.so.13", "libnvrtc.so.12",
                                        "/usr/local/cuda/lib64/libnvrtc.so"};
    for (size_t i = 0; i < TG_ARRAY_SIZE(names); i++) {
        void *library = dlopen(names[i], RTLD_LAZY | RTLD_LOCAL | RTLD_NODELETE);
        if (library) {
            dlclose(library);
            return names[i];
        }
    }
    return NULL;
}

/* Loaded and let go: not one of its functions is called. */
static const char *find_nvml(const char *path)
{
    struct nvml n;
    char why[256];
    if (!path[0] || nvml_load(path, &n, why, sizeof(why)) < 0)
        return NULL;
    nvml_unload(&n);
    return path;
}

void check_toolkit(struct doctor *d, struct doctor_finding *f)
{
    const struct host_sight *host = host_sight(d->config);
    struct toolkit_sight s = {
        .wish = host->wish,
        .kernels = host_runner_with(d->config, "type", "kernel") != NULL,
        .built = TG_CUDA_BUILT,
        .driver = host->driver,
        .nvrtc = find_nvrtc(),
        .nvml = find_nvml(d->config->telemetry_nvml),
        .nvml_wanted = d->config->telemetry_nvml,
    };
    toolkit_judge(&s, f);
}
