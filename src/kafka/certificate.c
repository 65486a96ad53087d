/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: a broker that refuses a certificate does not say why, and the most frequent reason, that it has
 * expired, can be seen here. The four levels of DER that lead to the date are walked by hand, so that the library needs
 * no OpenSSL of its own beside librdkafka's.
 */
#include "kafka/certificate.h"

#include <kurier/sys/memory.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <kurier/sys/base64.h>

enum {
    TAG_INTEGER = 0x02,
    TAG_UTC_TIME = 0x17,
    TAG_GENERALIZED_TIME = 0x18,
    TAG_SEQUENCE = 0x30,
    TAG_VERSION = 0xa0,
    PEM_SIZE_MAX = 256 * 1024
};

/* What is left to read of some DER. */
struct der {
    const unsigned char *at;
    size_t left;
};

/* Takes the next element, whose tag must be `tag` (0: any); its content goes to `content`. */
static bool take(struct der *der, unsigned tag, struct der *content)
{
    if (der->left < 2 || (tag != 0 && der->at[0] != tag))
        return false;
    size_t size = der->at[1], header = 2;
    if (size & 0x80) {
        size_t octets = size & 0x7f;
        if (octets == 0 || octets > 4 || der->left < 2 + octets)
            return false;
        size = 0;
        for (size_t i = 0; i < octets; i++)
            size = size << 8 | der->at[2 + i];
        header += octets;
    }
    if (size > der->left - header)
        return false;
    *content = (struct der){der->at + header, size};
    der->at += header + size;
    der->left -= header + size;
    return true;
}

static bool skip(struct der *der, unsigned tag)
{
    struct der content;
    return take(der, tag, &content);
}

/* YYMMDDHHMMSSZ, or with four digits of the year. */
static bool read_time(struct der time, unsigned tag, int64_t *time_us)
{
    int part[6] = {0};
    size_t year_size = tag == TAG_UTC_TIME ? 2 : 4, at = 0;
    if (time.left != year_size + 11 || time.at[time.left - 1] != 'Z')
        return false;
    for (size_t i = 0; i < 6; i++)
        for (size_t end = at + (i == 0 ? year_size : 2); at < end; at++) {
            if (time.at[at] < '0' || time.at[at] > '9')
                return false;
            part[i] = part[i] * 10 + (time.at[at] - '0');
        }
    if (tag == TAG_UTC_TIME)
        part[0] += part[0] < 50 ? 2000 : 1900;
    struct tm parts = {.tm_year = part[0] - 1900,
                       .tm_mon = part[1] - 1,
                       .tm_mday = part[2],
                       .tm_hour = part[3],
                       .tm_min = part[4],
                       .tm_sec = part[5]};
    *time_us = (int64_t)timegm(&parts) * 1000000;
    return true;
}

bool kur__certificate_end(kur_bytes bytes, int64_t *end_us)
{
    struct der der = {bytes.data, bytes.size}, certificate, body, validity, time;
    if (!take(&der, TAG_SEQUENCE, &certificate) || !take(&certificate, TAG_SEQUENCE, &body))
        return false;
    if (body.left > 0 && body.at[0] == TAG_VERSION && !skip(&body, TAG_VERSION))
        return false;
    /* Serial number, signature's algorithm, issuer. */
    if (!skip(&body, TAG_INTEGER) || !skip(&body, TAG_SEQUENCE) || !skip(&body, TAG_SEQUENCE) ||
        !take(&body, TAG_SEQUENCE, &validity) || !skip(&validity, 0) || validity.left == 0)
        return false;
    unsigned tag = validity.at[0];
    return (tag == TAG_UTC_TIME || tag == TAG_GENERALIZED_TIME) && take(&validity, tag, &time) &&
           read_time(time, tag, end_us);
}

bool kur__certificate_end_of_pem(kur_bytes pem, int64_t *end_us)
{
    static const char begin[] = "-----BEGIN CERTIFICATE-----", end[] = "-----END CERTIFICATE-----";
    if (pem.size == 0 || pem.size > PEM_SIZE_MAX)
        return false;
    const char *from = memmem(pem.data, pem.size, begin, sizeof begin - 1);
    if (from == NULL)
        return false;
    from += sizeof begin - 1;
    size_t left = pem.size - (size_t)(from - (const char *)pem.data);
    const char *to = memmem(from, left, end, sizeof end - 1);
    if (to == NULL)
        return false;
    size_t size = (size_t)(to - from), kept = 0, count;
    char *text = kur_malloc(size + 1);
    uint8_t *der = kur_malloc(kur_base64_room(size) + 1);
    for (size_t i = 0; i < size && text != NULL; i++)
        if (strchr(" \t\r\n", from[i]) == NULL)
            text[kept++] = from[i];
    bool found = text != NULL && der != NULL && kur_base64_read(text, kept, der, &count) &&
                 kur__certificate_end(kur_bytes_of(der, count), end_us);
    kur_free(text);
    kur_free(der);
    return found;
}

bool kur__certificate_end_of_file(const char *path, int64_t *end_us)
{
    FILE *file = fopen(path, "rbe");
    if (file == NULL)
        return false;
    char *text = kur_malloc(PEM_SIZE_MAX);
    size_t size = text != NULL ? fread(text, 1, PEM_SIZE_MAX, file) : 0;
    fclose(file);
    bool found = kur__certificate_end_of_pem(kur_bytes_of(text, size), end_us);
    if (size > 0)
        explicit_bzero(text, size); /* the key may stand in the same file */
    kur_free(text);
    return found;
}
