#include <stdlib.h>
#include <string.h>

#include "daemon/core/base/fnv.h"
#include "daemon/core/ice/agent.h"
#include "daemon/core/ice/private.h"

/* Our fragments are random, so strangers cannot lengthen a chain. */
static uint64_t hash_of(const void *ufrag)
{
	return fnv_hash(FNV_SEED, ufrag, ICE_OUR_UFRAG_BYTES);
}

struct ice_generation *ice_generation_find(const struct ice_engine *e, const uint8_t *ufrag,
					   size_t len)
{
	if (len != ICE_OUR_UFRAG_BYTES)
		return NULL;
	for (struct table_node *n = table_first(&e->ufrags, hash_of(ufrag)); n; n = n->next) {
		struct ice_generation *g = container_of(n, struct ice_generation, by_ufrag);

		if (memcmp(g->ufrag, ufrag, len) == 0)
			return g;
	}
	return NULL;
}

static void make_text(const struct random_source *random, char *ret, size_t len)
{
	static const char ice_chars[64] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	random_bytes(random, ret, len);
	for (size_t i = 0; i < len; i++)
		ret[i] = ice_chars[(uint8_t)ret[i] % 64];
	ret[len] = '\0';
}

enum err ice_generation_create(struct ice_generation **ret, struct ice_agent *a, uint32_t number)
{
	struct ice_engine *e = a->engine;
	struct ice_generation *g = calloc(1, sizeof(*g));

	if (!g)
		return ERR_NO_MEMORY;
	ice_checklist_init(&g->list, e->max_pairs, a->controlling);
	g->agent = a;
	g->number = number;
	g->ta_us = e->ta_ms * US_PER_MS;
	g->path = ICE_NO_PAIR;
	g->nominating = ICE_NO_PAIR;
	g->patience_us = DEADLINE_NONE;
	g->nominate_us = DEADLINE_NONE;
	g->consent.idle = a->idle;
	g->remote_ufrag = "";
	g->remote_pwd = "";
	do {
		make_text(&e->random, g->ufrag, ICE_OUR_UFRAG_BYTES);
	} while (ice_generation_find(e, (const uint8_t *)g->ufrag, ICE_OUR_UFRAG_BYTES));
	make_text(&e->random, g->pwd, ICE_OUR_PWD_BYTES);
	table_add(&e->ufrags, hash_of(g->ufrag), &g->by_ufrag);
	*ret = g;
	return OK;
}

enum err ice_generation_set_remote(struct ice_generation *g, const char *ufrag, const char *pwd)
{
	size_t ufrag_bytes = strlen(ufrag) + 1, pwd_bytes = strlen(pwd) + 1;
	char *text = malloc(ufrag_bytes + pwd_bytes);

	if (!text)
		return ERR_NO_MEMORY;
	memcpy(text, ufrag, ufrag_bytes);
	memcpy(text + ufrag_bytes, pwd, pwd_bytes);
	g->remote_text = text;
	g->remote_text_bytes = ufrag_bytes + pwd_bytes;
	g->remote_ufrag = text;
	g->remote_pwd = text + ufrag_bytes;
	g->remote_known = true;
	return OK;
}

void ice_generation_rest(struct ice_generation *g)
{
	struct ice_engine *e = g->agent->engine;

	for (size_t i = 0; g->consent_requests && i < ICE_CONSENT_REQUESTS; i++)
		ice_request_stop(&e->requests, &g->consent_requests[i]);
	free(g->consent_requests);
	g->consent_requests = NULL;
	ice_checklist_rest(&g->list);
}

void ice_generation_stop(struct ice_generation *g)
{
	for (size_t i = 0; i < g->list.pair_count; i++)
		ice_check_stop(g, &g->list.pairs[i]);
	ice_generation_rest(g);
}

void ice_generation_destroy(struct ice_generation *g)
{
	if (!g)
		return;
	table_remove(&g->agent->engine->ufrags, hash_of(g->ufrag), &g->by_ufrag);
	ice_generation_stop(g);
	ice_checklist_fini(&g->list);
	free(g->early);
	if (g->remote_text)
		explicit_bzero(g->remote_text, g->remote_text_bytes);
	free(g->remote_text);
	explicit_bzero(g, sizeof(*g));
	free(g);
}
