/* SPDX-License-Identifier: Apache-2.0 */
/* Choosing the network loop. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include "gate.h"

void net_send_end(struct net *net, struct net_conn *nc)
{
    (void)net;
    shutdown(nc->fd, SHUT_WR);
}

int net_create(const char *wanted, const struct net_options *options, struct net **net, char *why, size_t why_len)
{
    struct net_options behind_gate = *options;
    if (options->gate) {
        gate_attach(options->gate, &behind_gate);
        options = &behind_gate;
    }
    why[0] = '\0';
    if (strcmp(wanted, "epoll") == 0)
        return net_epoll.create(options, net);
    int rc = net_uring.create(options, net);
    if (rc == 0 || strcmp(wanted, "io_uring") == 0)
        return rc;
    snprintf(why, why_len, "io_uring is refused here (%s)", strerror(-rc));
    return net_epoll.create(options, net);
}
