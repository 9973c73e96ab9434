/* SPDX-License-Identifier: Apache-2.0 */
/* What the thread's loop asks of connections. */
#ifndef BENCH_LOAD_FLOW_H
#define BENCH_LOAD_FLOW_H

struct client;
struct conn;

/* Starts to open a connection that is down. */
void flow_connect(struct client *c, struct conn *conn);

/* An active connection has room: closed loop, fill it to the depth; open loop, let the schedule know. */
void flow_go_on(struct client *c, struct conn *conn);

/* One request on a connection that else stays silent. */
void flow_touch(struct client *c, struct conn *conn);

/* Open loop: every request that is due by now, as far as connections have room. */
void flow_pace(struct client *c);

/* Hands everything written so far to the kernel. */
void flow_flush(struct client *c);

/* Gives the connection up; what was in flight on it counts as lost. */
void flow_drop(struct client *c, struct conn *conn);

#endif
