/*
 * What happens to two ends that are connected: NATs that forget, moves to other networks, sockets
 * that come and go, times in which nothing gets through, restarts, idleness, servers that restart.
 */
#ifndef ICETUN_SIM_ICE_LIFE_H
#define ICETUN_SIM_ICE_LIFE_H

#include "tests/sim/ice_world.h"

/* Lets scenario.events things happen, at times that the seed says. */
void ice_life_run(struct ice_world *w);
/* Ends all that is wrong, and gives the ends time. Return: true when they have agreed on a pair, a
 * direct one where that is possible. */
bool ice_life_recovers(struct ice_world *w);

#endif
