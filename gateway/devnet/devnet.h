/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `taskgate devnet`: a directory of provider nodes on loopback, for trying things out and for tests. It
 * answers as the real one does, keeps everything in memory, and misbehaves on request. Not on the path of any
 * task.
 */
#ifndef TG_DEVNET_H
#define TG_DEVNET_H

/** @argv argv[0] is the command's word. Returns an exit code: 0 stopped by a signal, 1 no start, 2 usage. */
int devnet_main(int argc, char **argv);

#endif
