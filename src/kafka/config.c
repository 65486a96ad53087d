/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include "kafka/config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/error.h"
#include "base/hash.h"

enum {
    FILE_SIZE_MAX = 1024 * 1024,
    LINE_SIZE_MAX = 8192,
    NAME_SIZE_MAX = 128
};

struct kur__setting {
    UT_hash_handle hh;
    char *value;
    char name[];
};

void kur__config_done(kur__config *config)
{
    kur__setting *setting, *next;
    HASH_ITER (hh, config->settings, setting, next) {
        HASH_DEL(config->settings, setting);
        kur_free(setting->value);
        kur_free(setting);
    }
}

const char *kur__config_get(const kur__config *config, const char *name)
{
    kur__setting *setting;
    HASH_FIND(hh, config->settings, name, strlen(name), setting);
    return setting != NULL ? setting->value : NULL;
}

/* ---- What is refused ---- */

/* Why a property cannot be set by users, or NULL. */
static const char *refusal(const char *name)
{
    static const struct {
        const char *name, *why;
    } refused[] = {
        {"plugin.library.paths", "it loads code"},
        {"sasl.kerberos.kinit.cmd", "it runs a command"},
        {"ssl.engine.location", "it loads code"},
        {"enable.auto.commit", "an offset is committed when its record is finished, never by itself"},
        {"enable.auto.offset.store", "an offset is committed when its record is finished, never by itself"},
        {"auto.commit.enable", "an offset is committed when its record is finished, never by itself"},
        {"auto.offset.reset", "use the consumer's .start: nothing is skipped in silence"},
        {"enable.idempotence", "producers are always idempotent"},
        {"acks", "producers always wait for all in-sync replicas"},
        {"request.required.acks", "producers always wait for all in-sync replicas"},
        {"partitioner", "keys are placed as Java's clients place them"},
        {"transactional.id", "transactions have options of their own"},
        {"group.id", "use the consumer's .group"},
        {"opaque", "it is the library's"},
        {"default_topic_conf", "it is the library's"},
    };
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        if (strcmp(refused[i].name, name) == 0)
            return refused[i].why;
    size_t size = strlen(name);
    return size > 3 && strcmp(name + size - 3, "_cb") == 0 ? "it is the library's" : NULL;
}

/* Whether a value of this name may be a secret; rather too many than one too few. */
static bool is_secret(const char *name)
{
    static const char *const parts[] = {"password", "secret",      "token",    "jaas",
                                        ".pem",     "oauthbearer", "username", "ssl.key"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (strcasestr(name, parts[i]) != NULL)
            return true;
    return false;
}

/* ---- The closest right name ---- */

static size_t distance(const char *a, const char *b)
{
    size_t row[NAME_SIZE_MAX + 1];
    size_t width = strlen(b);
    for (size_t j = 0; j <= width; j++)
        row[j] = j;
    for (size_t i = 0; a[i] != '\0'; i++) {
        size_t diagonal = row[0];
        row[0] = i + 1;
        for (size_t j = 0; j < width; j++) {
            size_t changed = diagonal + (a[i] != b[j]);
            diagonal = row[j + 1];
            size_t least = row[j] < row[j + 1] ? row[j] + 1 : row[j + 1] + 1;
            row[j + 1] = changed < least ? changed : least;
        }
    }
    return row[width];
}

static void find_closest(const char *name, const char **dump, size_t count, char closest[NAME_SIZE_MAX], size_t *best)
{
    for (size_t i = 0; i + 1 < count; i += 2) {
        if (strlen(dump[i]) >= NAME_SIZE_MAX)
            continue;
        size_t far = distance(name, dump[i]);
        if (far < *best) {
            *best = far;
            snprintf(closest, NAME_SIZE_MAX, "%s", dump[i]);
        }
    }
}

static kur_status unknown_property(const char *name, kur_error *error)
{
    /* What librdkafka's list of names and values leaves out: aliases, and properties without a default. */
    static const char *unlisted[] = {
        "bootstrap.servers",        "", "linger.ms",         "", "compression.type",  "", "delivery.timeout.ms", "",
        "sasl.mechanism",           "", "retries",           "", "max.in.flight",     "", "fetch.max.wait.ms",   "",
        "message.send.max.retries", "", "sasl.username",     "", "sasl.password",     "", "ssl.ca.location",     "",
        "ssl.certificate.location", "", "ssl.key.location",  "", "ssl.key.password",  "", "ssl.ca.pem",          "",
        "ssl.certificate.pem",      "", "ssl.key.pem",       "", "group.instance.id", "", "client.rack",         "",
        "sasl.oauthbearer.config",  "", "ssl.cipher.suites", ""};
    char closest[NAME_SIZE_MAX] = "";
    size_t best = 1 + strlen(name) / 3; /* farther than that is no slip of the finger */
    size_t count;
    find_closest(name, unlisted, sizeof unlisted / sizeof *unlisted, closest, &best);
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    const char **dump = rd_kafka_conf_dump(conf, &count);
    find_closest(name, dump, count, closest, &best);
    rd_kafka_conf_dump_free(dump, count);
    rd_kafka_conf_destroy(conf);
    rd_kafka_topic_conf_t *topic_conf = rd_kafka_topic_conf_new();
    dump = rd_kafka_topic_conf_dump(topic_conf, &count);
    find_closest(name, dump, count, closest, &best);
    rd_kafka_conf_dump_free(dump, count);
    rd_kafka_topic_conf_destroy(topic_conf);
    if (closest[0] == '\0')
        return kur_error_set(error, KUR_ERROR_CONFIG, "no such property: %s", name);
    return kur_error_set(error, KUR_ERROR_CONFIG, "no such property: %s; did you mean %s?", name, closest);
}

/* ---- Setting ---- */

static kur_status set_conf(rd_kafka_conf_t *conf, const char *name, const char *value, kur_error *error)
{
    char why[256];
    switch (rd_kafka_conf_set(conf, name, value, why, sizeof why)) {
    case RD_KAFKA_CONF_OK:
        return KUR_OK;
    case RD_KAFKA_CONF_UNKNOWN:
        return unknown_property(name, error);
    default:
        /* librdkafka's own text quotes the value. */
        if (is_secret(name))
            return kur_error_set(error, KUR_ERROR_CONFIG, "%s: the value is not valid", name);
        return kur_error_set(error, KUR_ERROR_CONFIG, "%s: %s", name, why);
    }
}

static kur_status check(const char *name, const char *value, kur_error *error)
{
    if (name == NULL || name[0] == '\0' || strlen(name) >= NAME_SIZE_MAX)
        return kur_error_set(error, KUR_ERROR_CONFIG, "a property's name is empty or longer than %d characters",
                             NAME_SIZE_MAX - 1);
    if (value == NULL)
        return kur_error_set(error, KUR_ERROR_CONFIG, "%s: the value is NULL", name);
    if (!kur_bytes_is_utf8(kur_bytes_text(value)))
        return kur_error_set(error, KUR_ERROR_CONFIG, "%s: the value is not UTF-8", name);
    const char *why = refusal(name);
    if (why != NULL)
        return kur_error_set(error, KUR_ERROR_CONFIG, "%s cannot be set: %s", name, why);
    if (strcmp(name, "partition.assignment.strategy") == 0 && strcmp(value, "range") != 0 &&
        strcmp(value, "roundrobin") != 0)
        return kur_error_set(
            error, KUR_ERROR_CONFIG,
            "partition.assignment.strategy: range or roundrobin; others lose assignments on older versions");
    rd_kafka_conf_t *scratch = rd_kafka_conf_new();
    kur_status status = set_conf(scratch, name, value, error);
    rd_kafka_conf_destroy(scratch);
    return status;
}

kur_status kur__config_set(kur__config *config, const char *name, const char *value, kur_error *error)
{
    kur_status status = check(name, value, error);
    if (status != KUR_OK)
        return status;
    char *copy = kur_strdup(value);
    if (copy == NULL)
        return kur__error_no_memory(error);
    kur__setting *setting;
    size_t size = strlen(name);
    HASH_FIND(hh, config->settings, name, size, setting);
    if (setting != NULL) {
        /* To the end: librdkafka has names for the same thing, and of those the one that is applied last counts. */
        HASH_DEL(config->settings, setting);
        kur_free(setting->value);
        kur_free(setting);
    }
    setting = kur_calloc(1, sizeof *setting + size + 1);
    if (setting != NULL) {
        memcpy(setting->name, name, size + 1);
        setting->value = copy;
        HASH_ADD(hh, config->settings, name, size, setting);
        if (setting->hh.tbl != NULL)
            return KUR_OK;
    }
    kur_free(setting);
    kur_free(copy);
    return kur__error_no_memory(error);
}

kur_status kur__config_apply(const kur__config *config, rd_kafka_conf_t *conf, kur_error *error)
{
    kur_status status = KUR_OK;
    for (kur__setting *setting = config->settings; setting != NULL && status == KUR_OK; setting = setting->hh.next)
        status = set_conf(conf, setting->name, setting->value, error);
    return status;
}

/* ---- Files ---- */

static void trim(char **text)
{
    *text += strspn(*text, " \t\r");
    size_t size = strlen(*text);
    while (size > 0 && strchr(" \t\r", (*text)[size - 1]) != NULL)
        (*text)[--size] = '\0';
}

static kur_status read_line(kur__config *config, const char *line, size_t size, kur_error *error)
{
    char copy[LINE_SIZE_MAX];
    if (size >= sizeof copy)
        return kur_error_set(error, KUR_ERROR_CONFIG, "the line is longer than %d bytes", LINE_SIZE_MAX - 1);
    if (memchr(line, '\0', size) != NULL || !kur_bytes_is_utf8(kur_bytes_of(line, size)))
        return kur_error_set(error, KUR_ERROR_CONFIG, "the line is not text in UTF-8");
    memcpy(copy, line, size);
    copy[size] = '\0';
    char *name = copy;
    trim(&name);
    if (name[0] == '\0' || name[0] == '#' || name[0] == '!')
        return KUR_OK;
    char *value = strchr(name, '=');
    if (value == NULL)
        return kur_error_set(error, KUR_ERROR_CONFIG, "expected name = value");
    *value++ = '\0';
    trim(&name);
    trim(&value);
    return kur__config_set(config, name, value, error);
}

kur_status kur__config_read(kur__config *config, const char *file_name, kur_bytes text, kur_error *error)
{
    const char *next = text.data;
    const char *end = next + text.size;
    for (int line = 1; next < end; line++) {
        const char *line_end = memchr(next, '\n', (size_t)(end - next));
        if (line_end == NULL)
            line_end = end;
        kur_status status = read_line(config, next, (size_t)(line_end - next), error);
        if (status != KUR_OK) {
            kur__error_prefix(error, "%s:%d: ", file_name, line);
            return status;
        }
        next = line_end + 1;
    }
    return KUR_OK;
}

kur_status kur__config_load(kur__config *config, const char *path, kur_error *error)
{
    FILE *file = fopen(path, "rbe");
    if (file == NULL)
        return kur_error_set(error, KUR_ERROR_SYSTEM, "%s: %s", path, strerror(errno));
    kur_buffer text = {0};
    kur_status status = KUR_OK;
    char part[4096];
    size_t got;
    while (status == KUR_OK && (got = fread(part, 1, sizeof part, file)) > 0) {
        if (text.size + got > FILE_SIZE_MAX)
            status = kur_error_set(error, KUR_ERROR_CONFIG, "%s: larger than %d bytes", path, FILE_SIZE_MAX);
        else if (kur_buffer_append(&text, part, got) != KUR_OK)
            status = kur__error_no_memory(error);
    }
    if (status == KUR_OK && ferror(file))
        status = kur_error_set(error, KUR_ERROR_SYSTEM, "%s: %s", path, strerror(errno));
    fclose(file);
    if (status == KUR_OK && text.size > 0)
        status = kur__config_read(config, path, kur_bytes_of(text.data, text.size), error);
    /* It may hold passwords. */
    if (text.size > 0)
        explicit_bzero(text.data, text.size);
    kur_buffer_done(&text);
    return status;
}
