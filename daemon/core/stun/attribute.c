#include "daemon/core/stun/attribute.h"

#include "daemon/core/stun/message.h"

static const struct stun_attribute_row rows[STUN_ATTRIBUTE_COUNT] = {
#define X(id, wire, text, min, max, how, field)                                                    \
	[STUN_##id] = {                                                                            \
		.type = wire,                                                                      \
		.min_bytes = min,                                                                  \
		.max_bytes = max,                                                                  \
		.codec = STUN_CODEC_##how,                                                         \
		.field_offset = offsetof(struct stun_message, field),                              \
		.name = text,                                                                      \
	},
	STUN_ATTRIBUTE_TABLE(X)
#undef X
};

const struct stun_attribute_row *stun_attribute_row(enum stun_attribute attribute)
{
	return &rows[attribute];
}

enum stun_attribute stun_attribute_find(uint16_t type)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (rows[i].type == type)
			return (enum stun_attribute)i;
	return STUN_ATTRIBUTE_COUNT;
}
