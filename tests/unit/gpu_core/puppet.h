/* SPDX-License-Identifier: Apache-2.0 */
/* A device that does what the test scripts, submission by submission; beyond the script it computes at once.
 */
#ifndef PUPPET_H
#define PUPPET_H

#include "gpu/backend.h"

#define PUPPET_STEPS 64

struct puppet {
    /* the script, by number of submission since the test began */
    int refuse[PUPPET_STEPS];                        /* submit() returns this */
    enum tg_device_fault refuse_fault[PUPPET_STEPS]; /* ... with this class */
    enum tg_device_fault end_fault[PUPPET_STEPS];    /* poll() ends it so, without having computed */
    int open_rc;                                     /* open() returns this */
    bool hold;                                       /* nothing ends */
    bool eager;                                      /* what has not ended is to be asked for again at once */
    bool scribble;                                   /* a faulted batch leaves half-written rows behind */
    uint64_t service_ns; /* a batch ends so long after its submission, by the rig's clock */
    /* what happened */
    uint32_t opens, closes, loads, submissions, polls;
};

extern struct puppet puppet;

#endif
