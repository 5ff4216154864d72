#include "daemon/core/cert/claims.h"

#include "daemon/core/crypto/base64.h"

#define COSE_SIGN1_TAG	 18
#define ISSUER_CHARS	 BASE64_CHARS(CERT_NETWORK_BYTES)
#define CONTEXT_MAX	 32
#define TO_BE_SIGNED_MAX (CLAIMS_MAX_BYTES + CONTEXT_MAX + 32)

/* {1: -8}: the algorithm is EdDSA. No other protected header is accepted. */
static const uint8_t protected_header[] = {0xa1, 0x01, 0x27};

enum err cert_network_id(const uint8_t authority_public[static SIGN_PUBLIC_BYTES],
			 uint8_t ret[static CERT_NETWORK_BYTES])
{
	return hash_sha256(authority_public, SIGN_PUBLIC_BYTES, ret);
}

enum err claims_write_issuer(struct wr *w, const uint8_t secret[static SIGN_SECRET_BYTES])
{
	uint8_t public[SIGN_PUBLIC_BYTES];
	uint8_t id[CERT_NETWORK_BYTES];
	char text[ISSUER_CHARS + 1];
	enum err err;

	sign_public(secret, public);
	err = cert_network_id(public, id);
	if (err == OK)
		err = base64_encode(id, sizeof(id), text, sizeof(text));
	if (err != OK)
		return err;
	item_wr_int(w, CLAIM_ISSUER);
	item_wr_text(w, text);
	return OK;
}

void claims_read_issuer(struct item_rd *r, uint8_t ret[static CERT_NETWORK_BYTES])
{
	size_t len, id_len;
	const char *text = item_rd_text(r, &len);

	if (!text || base64_decode(text, len, ret, CERT_NETWORK_BYTES, &id_len) != OK ||
	    id_len != CERT_NETWORK_BYTES)
		item_rd_fail(r);
}

void claims_write_time(struct wr *w, enum claim claim, int64_t unix_s)
{
	item_wr_int(w, claim);
	item_wr_int(w, unix_s);
}

/* Sig_structure of RFC 9052 s. 4.4. */
static void write_to_be_signed(struct wr *w, const char *context, const uint8_t *claims, size_t len)
{
	item_wr_array(w, 4);
	item_wr_text(w, "Signature1");
	item_wr_bytes(w, protected_header, sizeof(protected_header));
	item_wr_bytes(w, context, strlen(context));
	item_wr_bytes(w, claims, len);
}

enum err claims_sign(const struct wr *claims, const char *context,
		     const uint8_t secret[static SIGN_SECRET_BYTES], uint8_t *out, size_t cap,
		     size_t *ret_len)
{
	uint8_t to_be_signed[TO_BE_SIGNED_MAX];
	uint8_t signature[SIGN_BYTES];
	struct wr t = wr_init(to_be_signed, sizeof(to_be_signed));
	struct wr w = wr_init(out, cap);

	write_to_be_signed(&t, context, claims->start, wr_len(claims));
	if (!wr_ok(claims) || !wr_ok(&t))
		return ERR_NO_SPACE;
	sign(secret, to_be_signed, wr_len(&t), signature);
	item_wr_tag(&w, COSE_SIGN1_TAG);
	item_wr_array(&w, 4);
	item_wr_bytes(&w, protected_header, sizeof(protected_header));
	item_wr_map(&w, 0);
	item_wr_bytes(&w, claims->start, wr_len(claims));
	item_wr_bytes(&w, signature, sizeof(signature));
	if (!wr_ok(&w))
		return ERR_NO_SPACE;
	*ret_len = wr_len(&w);
	return OK;
}

/* The claims say themselves, unproven, that another authority has signed them: a kinder answer than
 * "the signature is wrong". */
static bool is_of_other_network(const uint8_t *claims, size_t len,
				const uint8_t id[static CERT_NETWORK_BYTES])
{
	struct item_rd r = item_rd_init(claims, len);
	uint8_t issuer[CERT_NETWORK_BYTES];
	struct item_map map;
	int64_t key;

	item_rd_map(&r, &map);
	if (!item_map_next_int(&r, &map, &key) || key != CLAIM_ISSUER)
		return false;
	claims_read_issuer(&r, issuer);
	return item_rd_ok(&r) && memcmp(issuer, id, sizeof(issuer)) != 0;
}

enum err claims_open(const uint8_t *buf, size_t len, size_t max_bytes, const char *context,
		     const uint8_t authority_public[static SIGN_PUBLIC_BYTES], struct item_rd *ret)
{
	struct item_rd r = item_rd_init(buf, len);
	uint8_t header[sizeof(protected_header)], signature[SIGN_BYTES], id[CERT_NETWORK_BYTES];
	uint8_t to_be_signed[TO_BE_SIGNED_MAX];
	struct wr t = wr_init(to_be_signed, sizeof(to_be_signed));
	struct item_map unprotected;
	const uint8_t *claims;
	size_t claims_len;
	enum err err;

	if (len > max_bytes)
		return DROP_TOO_LONG;
	if (item_rd_tag(&r) != COSE_SIGN1_TAG || item_rd_array(&r, 4) != 4)
		return DROP_MALFORMED;
	item_rd_bytes_exact(&r, header, sizeof(header));
	item_rd_map(&r, &unprotected);
	claims = item_rd_bytes(&r, &claims_len);
	item_rd_bytes_exact(&r, signature, sizeof(signature));
	if (!item_rd_at_end(&r) || unprotected.left != 0 ||
	    memcmp(header, protected_header, sizeof(header)) != 0)
		return DROP_MALFORMED;
	write_to_be_signed(&t, context, claims, claims_len);
	if (!wr_ok(&t))
		return DROP_TOO_LONG;
	err = cert_network_id(authority_public, id);
	if (err != OK)
		return err;
	err = sign_verify(authority_public, to_be_signed, wr_len(&t), signature);
	if (err != OK || is_of_other_network(claims, claims_len, id))
		return is_of_other_network(claims, claims_len, id) ? DROP_NETWORK : err;
	*ret = item_rd_init(claims, claims_len);
	return OK;
}
