#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/core/crypto/hash.h"
#include "daemon/core/crypto/secret.h"
#include "tests/support/hex.h"

#define assert_hex(buf, text)                                                                      \
	do {                                                                                       \
		uint8_t expected_[128];                                                            \
		size_t n_ = hex(text, expected_);                                                  \
		assert_memory_equal(buf, expected_, n_);                                           \
	} while (0)

/* RFC 7693 appendix A. */
static const char blake2b_abc[] =
	"ba80a53f981c4d0d6a2797b69f12f6e94c212f14685ac4b74b12bb6fdbffa2d1"
	"7d87c5392aab792dc252d5de4533cc9518d38aa8dbf1925ab92386edd4009923";

static void blake2b(void **state)
{
	uint8_t out[BLAKE2B_BYTES];

	(void)state;
	for (size_t cut = 0; cut <= 3; cut++) {
		hash_blake2b("abc", cut, &"abc"[cut], 3 - cut, out);
		assert_hex(out, blake2b_abc);
	}
	hash_blake2b(NULL, 0, NULL, 0, out);
	assert_hex(out, "786a02f742015903c6c6fd852552d272912f4740e15847618a86e217f71f5419"
			"d25e1031afee585313896444934eb04b903a685b1448b755d56f701afe9be2ce");
}

/* No RFC has vectors for it; these are from Python's hmac module with hashlib.blake2b. */
static void hmac_of_blake2b(void **state)
{
	uint8_t key[128], out[BLAKE2B_BYTES];

	(void)state;
	for (size_t i = 0; i < sizeof(key); i++)
		key[i] = (uint8_t)i;
	hmac_blake2b((const uint8_t *)"Jefe", 4, "what do ya want ", 16, "for nothing?", 12, out);
	assert_hex(out, "6ff884f8ddc2a6586b3c98a4cd6ebdf14ec10204b6710073eb5865ade37a2643"
			"b8807c1335d107ecdb9ffeaeb6828c4625ba172c66379efcd222c2de11727ab4");
	hmac_blake2b(key, sizeof(key), "Hi There", 8, NULL, 0, out);
	assert_hex(out, "d67a1cb3610869567dce4f41e4220ca5a467e8d36e391a55562d0799aecbebbb"
			"8657631777e8043ffc59b06abf91d87b4277f6b3c6b6c8a1186c9e2c272287b3");
}

/* Made with the same Python functions after Noise s. 4.3. */
static void hkdf(void **state)
{
	uint8_t ck[BLAKE2B_BYTES], out1[BLAKE2B_BYTES], out2[BLAKE2B_BYTES], out3[BLAKE2B_BYTES];

	(void)state;
	for (size_t i = 0; i < sizeof(ck); i++)
		ck[i] = (uint8_t)i;
	hkdf_blake2b(ck, "input", 5, out1, out2, out3);
	assert_hex(out1, "854ff4e7e6074bfe92f1a96cf706260641f9ba6fca788196587193a2664aed71"
			 "dba5f8f8c078f3eedf196c3af46e417d0a8c8c43f79ead81c8714d03e501eded");
	assert_hex(out2, "ce5595eb115a20218998812f1f84dad889b56b766edaad0fd39d8268762d3e9f"
			 "56b6507ac77dc73ca13b4c2f0e4b704ef3c3c40d98920e63df5c70239610d8ab");
	assert_hex(out3, "beb822d32dd50dffe84d52733d99602527506d06113800adb0420f3a909756ef"
			 "18c4ce35880d93af067921ceeca8fe90a2a6f9dcd32d831d5b69467105193f19");
	hkdf_blake2b(ck, "input", 5, ck, out3, NULL); /* in place, two outputs */
	assert_memory_equal(ck, out1, sizeof(ck));
	assert_memory_equal(out3, out2, sizeof(out2));
}

struct hmac_vector {
	const char *key, *data; /* hexadecimal; "xx*n" is xx n times */
	const char *code;
};

static size_t repeated(const char *text, uint8_t *ret)
{
	size_t n;

	if (strlen(text) < 4 || text[2] != '*')
		return hex(text, ret);
	n = (size_t)strtoul(text + 3, NULL, 10);
	memset(ret, (int)strtoul(text, NULL, 16), n);
	return n;
}

static void check_hmac(const struct hmac_vector *v, size_t count,
		       enum err (*hmac)(const void *, size_t, const void *, size_t, const void *,
					size_t, uint8_t *),
		       size_t code_len)
{
	uint8_t key[256], data[256], code[64], out[64];

	for (size_t i = 0; i < count; i++) {
		size_t key_len = repeated(v[i].key, key);
		size_t len = repeated(v[i].data, data);

		assert_int_equal(hex(v[i].code, code), code_len);
		for (size_t cut = 0; cut <= len; cut++) {
			assert_int_equal(hmac(key, key_len, data, cut, data + cut, len - cut, out),
					 OK);
			assert_memory_equal(out, code, code_len);
		}
	}
}

#define HI_THERE    "4869205468657265"
#define JEFE	    "4a656665"
#define WHAT_DO_YA  "7768617420646f2079612077616e7420666f72206e6f7468696e673f"
#define KEY_1_TO_25 "0102030405060708090a0b0c0d0e0f10111213141516171819"
#define LARGER_KEY                                                                                 \
	"54657374205573696e67204c6172676572205468616e20426c6f636b2d53697a65204b6579202d204861"     \
	"7368204b6579204669727374"

static void rfc2202_hmac_sha1(void **state)
{
	static const struct hmac_vector vectors[] = {
		{"0b*20", HI_THERE, "b617318655057264e28bc0b6fb378c8ef146be00"},
		{JEFE, WHAT_DO_YA, "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"},
		{"aa*20", "dd*50", "125d7342b9ac11cd91a39af48aa17b4f63f175d3"},
		{KEY_1_TO_25, "cd*50", "4c9007f4026250c6bc8414f9bf50c86c2d7235da"},
		{"0c*20", "546573742057697468205472756e636174696f6e",
		 "4c1a03424b55e07fe7f27be1d58bb9324a9a5a04"},
		{"aa*80", LARGER_KEY, "aa4ae5e15272d00e95705637ce8a3b55ed402112"},
		{"aa*80",
		 "54657374205573696e67204c6172676572205468616e20426c6f636b2d53697a65204b657920616e"
		 "64204c6172676572205468616e204f6e6520426c6f636b2d53697a652044617461",
		 "e8e99d0f45237d786d6bbaa7965c7808bbff1a91"},
	};

	(void)state;
	check_hmac(vectors, ARRAY_SIZE(vectors), hmac_sha1, SHA1_BYTES);
}

static void rfc4231_hmac_sha256(void **state)
{
	static const struct hmac_vector vectors[] = {
		{"0b*20", HI_THERE,
		 "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
		{JEFE, WHAT_DO_YA,
		 "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
		{"aa*20", "dd*50",
		 "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"},
		{KEY_1_TO_25, "cd*50",
		 "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"},
		{"aa*131", LARGER_KEY,
		 "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
	};

	(void)state;
	check_hmac(vectors, ARRAY_SIZE(vectors), hmac_sha256, SHA256_BYTES);
}

static void an_empty_key_is_a_key(void **state)
{
	uint8_t out[SHA256_BYTES];

	(void)state;
	assert_int_equal(hmac_sha1(NULL, 0, NULL, 0, NULL, 0, out), OK);
	assert_hex(out, "fbdb1d1b18aa6c08324b7d64b71fb76370690e1d");
	assert_int_equal(hmac_sha256("", 0, "", 0, "", 0, out), OK);
	assert_hex(out, "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

static void rfc1321_md5(void **state)
{
	static const char *const vectors[][2] = {
		{"", "d41d8cd98f00b204e9800998ecf8427e"},
		{"a", "0cc175b9c0f1b6a831c399e269772661"},
		{"abc", "900150983cd24fb0d6963f7d28e17f72"},
		{"message digest", "f96b697d7cb7938d525a2f31aaf161d0"},
		{"abcdefghijklmnopqrstuvwxyz", "c3fcd3d76192e4007dfb496cca67e13b"},
		{"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
		 "d174ab98d277d9f5a5611c2c9f419d9f"},
		{"12345678901234567890123456789012345678901234567890123456789012345678901234567890",
		 "57edf4a22be3c955ac49da2e2107b67a"},
		{"user:realm:pass", "8493fbc53ba582fb4c044c456bdc40eb"}, /* RFC 8489 s. 9.2.2 */
	};
	uint8_t out[MD5_BYTES];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
		assert_int_equal(hash_md5(vectors[i][0], strlen(vectors[i][0]), out), OK);
		assert_hex(out, vectors[i][1]);
	}
}

static void sha256(void **state)
{
	uint8_t out[SHA256_BYTES];

	(void)state;
	assert_int_equal(hash_sha256("abc", 3, out), OK);
	assert_hex(out, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	assert_int_equal(hash_sha256(NULL, 0, out), OK);
	assert_hex(out, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(blake2b),
		cmocka_unit_test(hmac_of_blake2b),
		cmocka_unit_test(hkdf),
		cmocka_unit_test(rfc2202_hmac_sha1),
		cmocka_unit_test(rfc4231_hmac_sha256),
		cmocka_unit_test(an_empty_key_is_a_key),
		cmocka_unit_test(rfc1321_md5),
		cmocka_unit_test(sha256),
	};

	if (crypto_start() != OK)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
