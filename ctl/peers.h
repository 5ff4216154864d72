/* The table of peers, which `ictl status` and `ictl peers` both print. */
#ifndef ICETUN_CTL_PEERS_H
#define ICETUN_CTL_PEERS_H

#include "ctl/output.h"

/* @peers: the array of Status and Peers. Return: false without memory. */
bool peers_print(const json_t *peers);
/* "direct 203.0.113.7:40000", from a Path; "-" for NULL. */
struct text peers_path(const json_t *path);

#endif
