/* SPDX-License-Identifier: Apache-2.0 */
/* What is made of a GPU, its driver and the libraries beside it. What was seen is apart from what is said of it. */
#ifndef TG_GPU_CHECKS_H
#define TG_GPU_CHECKS_H

#include "gateway/command/doctor.h"
#include "host_sight.h"

/** Of the driver and its devices. */
void gpu_judge(const struct host_sight *s, struct doctor_finding *f);

/* Versions as CUDA writes them: 13000 is 13.0. 0: none. */
struct toolkit_sight {
    enum gpu_wish wish;
    bool kernels; /* a runner of type kernel is configured: it compiles at start */
    int built, driver;
    const char *nvrtc, *nvml; /* as loaded; NULL: none can be */
    const char *nvml_wanted;  /* telemetry.nvml; empty: off */
};

/** Of the versions, and of libraries that are loaded when they are needed. */
void toolkit_judge(const struct toolkit_sight *s, struct doctor_finding *f);

#endif
