/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Telling a service manager how we are (sd_notify(3), Type=notify). Without NOTIFY_SOCKET nothing happens.
 * Thread: control.
 */
#ifndef TG_NOTIFY_H
#define TG_NOTIFY_H

/** Serving: start-up, or a reload, is over. */
void notify_ready(void);
/** Configuration is being read again; notify_ready() follows. */
void notify_reloading(void);
/** On the way out. */
void notify_stopping(void);

#endif
