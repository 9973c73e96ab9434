/* SPDX-License-Identifier: Apache-2.0 */
/* What several checks of `taskgate doctor` look at, found out once: GPUs, the plan of threads, memory for lanes. */
#ifndef TG_HOST_SIGHT_H
#define TG_HOST_SIGHT_H

#include "gateway/control/config.h"
#include "gateway/devices/gpu_probe.h"
#include "gateway/topology.h"

enum gpu_wish { GPU_UNWANTED, GPU_WELCOME, GPU_REQUIRED };

struct host_sight {
    enum gpu_wish wish;
    char who[96];           /* the key that requires it */
    bool withheld;          /* a runner requires one, and executor.device leaves it none */
    struct gpu_probe probe; /* not asked if it is unwanted or withheld */
    int driver;             /* the version of CUDA it speaks, 13000 is 13.0; 0: there is none */
    int planned;            /* 0, or negative errno: the rest is not known then */
    struct topology topology;
    uint32_t gpus_on_bus;
    uint64_t lane_bytes, lock_bytes; /* all lanes; what of them is locked for a GPU at most */
};

/** The same for all checks of a run, which have one configuration. Thread: the one that runs them. */
const struct host_sight *host_sight(const struct config *config);

/** The first runner with this option, NULL if there is none. */
const struct config_runner *host_runner_with(const struct config *c, const char *key, const char *value);

#endif
