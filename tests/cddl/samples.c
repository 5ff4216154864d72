/* Writes the samples of tests/support/samples.h to files: DIRECTORY/RULE.FORM.cbor, and the tokens
 * as text to token.FORM.txt. */
#include "daemon/core/crypto/secret.h"
#include "tests/support/samples.h"

#include "daemon/core/signal/description.h"

static uint8_t buf[SIGNAL_MESSAGE_MAX_BYTES];

static void save(const char *directory, const char *rule, bool full, const char *suffix, size_t len)
{
	char path[4096];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s.%s.%s", directory, rule, full ? "full" : "minimal",
		 suffix);
	f = fopen(path, "wb");
	if (!f || fwrite(buf, 1, len, f) != len || fclose(f) != 0) {
		perror(path);
		exit(1);
	}
}

static void save_messages(const char *directory)
{
	static struct sample_message samples[SAMPLE_MESSAGES];
	size_t count = sample_messages(samples);

	for (size_t i = 0; i < count; i++) {
		size_t len;

		sample_is(signal_message_encode(&samples[i].m, buf, sizeof(buf), &len) == OK);
		save(directory, samples[i].rule, samples[i].full, "cbor", len);
	}
}

static void save_signed(const char *directory, bool full)
{
	struct sample_authority a = sample_authority(1);
	struct cert c = sample_cert(full);
	struct revocation_list l = sample_revocation(full);
	struct signal_handshake h;
	static struct signal_candidates later;
	uint8_t certificate[CERT_MAX_BYTES];
	size_t len, certificate_len;

	sample_is(cert_sign(&c, a.secret, buf, sizeof(buf), &len) == OK);
	save(directory, "certificate", full, "cbor", len);
	memcpy(certificate, buf, len);
	certificate_len = len;
	sample_is(revocation_list_sign(&l, a.secret, buf, sizeof(buf), &len) == OK);
	save(directory, "revocation", full, "cbor", len);

	h = sample_handshake(full, certificate, certificate_len);
	sample_is(signal_handshake_encode(&h, buf, sizeof(buf), &len) == OK);
	save(directory, "new-session", full, "cbor", len);
	h.restarts = 1;
	h.certificate_len = 0;
	sample_is(signal_handshake_encode(&h, buf, sizeof(buf), &len) == OK);
	save(directory, "restart", full, "cbor", len);

	later.end = full;
	later.local = h.ice.candidates;
	later.count = h.ice.candidate_count;
	sample_is(signal_candidates_encode(&later, buf, sizeof(buf), &len) == OK);
	save(directory, "candidates", full, "cbor", len);
}

static void save_token(const char *directory, bool full)
{
	struct token t = sample_token(full);

	sample_is(token_format(&t, (char *)buf, sizeof(buf)) == OK);
	save(directory, "token", full, "txt", strlen((const char *)buf));
}

int main(int argc, char **argv)
{
	if (argc != 2 || crypto_start() != OK) {
		fprintf(stderr, "usage: cddl_samples DIRECTORY\n");
		return 2;
	}
	save_messages(argv[1]);
	for (int full = 0; full < 2; full++) {
		save_signed(argv[1], full != 0);
		save_token(argv[1], full != 0);
	}
	return 0;
}
