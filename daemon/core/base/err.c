#include "daemon/core/base/err.h"

static const char *const names[ERR_COUNT] = {
#define X(code, name, text) [code] = name,
	ERR_TABLE(X)
#undef X
};

static const char *const texts[ERR_COUNT] = {
#define X(code, name, text) [code] = text,
	ERR_TABLE(X)
#undef X
};

const char *err_name(enum err e)
{
	return (unsigned int)e < ERR_COUNT ? names[e] : "unknown";
}

const char *err_text(enum err e)
{
	return (unsigned int)e < ERR_COUNT ? texts[e] : "unknown error";
}
