/* SPDX-License-Identifier: Apache-2.0 */
/* One handler for each row of routes.def. Called without the lock; the exchange is answered on return. */
#ifndef TG_DEVNET_HANDLERS_H
#define TG_DEVNET_HANDLERS_H

#include "exchange.h"

#define ROUTE(method, path, body, handler) void handler(struct exchange *x);
#include "routes.def"
#undef ROUTE

/** Parse the body if the route takes one, and call its handler; 404, 405 and 400 are answered here. */
void devnet_route(struct exchange *x);
/** Is it the directory's own remote control? Faults do not befall that. */
bool devnet_route_is_control(struct tg_str path);

/** Put faults and acts of a parsed document into force: one object, or a list. NULL, or what is wrong. */
const char *devnet_faults_apply(struct devnet *d, struct crypto *crypto, const struct tg_json_doc *doc,
                                struct tg_str *member);

#endif
