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
    char *origin;
    char name[];
};

static void setting_free(kur__setting *setting)
{
    if (setting == NULL)
        return;
    if (setting->value != NULL)
        explicit_bzero(setting->value, strlen(setting->value));
    kur_free(setting->value);
    kur_free(setting->origin);
    kur_free(setting);
}

void kur__config_done(kur__config *config)
{
    kur__setting *setting, *next;
    HASH_ITER (hh, config->settings, setting, next) {
        HASH_DEL(config->settings, setting);
        setting_free(setting);
    }
}

const kur__setting *kur__config_next(const kur__config *config, const kur__setting *setting, const char **name,
                                     const char **value, const char **origin)
{
    const kur__setting *next = setting == NULL ? config->settings : setting->hh.next;
    if (next != NULL) {
        *name = next->name;
        *value = next->value;
        *origin = next->origin;
    }
    return next;
}

const char *kur__config_get(const kur__config *config, const char *name)
{
    kur__setting *setting;
    HASH_FIND(hh, config->settings, name, strlen(name), setting);
    return setting != NULL ? setting->value : NULL;
}

/* ---- What is refused ---- */

static bool runs_code(const char *name)
{
    static const char *const names[] = {"plugin.library.paths", "sasl.kerberos.kinit.cmd", "ssl.engine.location",
                                        "ssl.providers"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

/* Why a property cannot be set by users, or NULL. */
static const char *refusal(const kur__config *config, const char *name)
{
    static const struct {
        const char *name, *why;
    } refused[] = {
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
        {"delivery.report.only.error", "each record has a result, also when it was delivered"},
        {"offset.store.method", "offsets are committed to Kafka"},
        {"enable.partition.eof", "the end of a partition is no error"},
        {"test.mock.num.brokers", "use kur_embedded_broker_new: this one keeps records from the broker that is named"},
        {"log.queue", "it is the library's: messages go to the client's .log"},
        {"opaque", "it is the library's"},
        {"default_topic_conf", "it is the library's"},
    };
    if (runs_code(name) && !config->allows_code)
        return "it loads code or runs a command; .security with .allow_code allows it";
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        if (strcmp(refused[i].name, name) == 0)
            return refused[i].why;
    size_t size = strlen(name);
    return size > 3 && strcmp(name + size - 3, "_cb") == 0 ? "it is the library's" : NULL;
}

bool kur__config_is_secret(const char *name)
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

/* What has another name, or another shape, in Java's clients, from where configurations are copied; or NULL. */
static const char *instead_of_java(const char *name)
{
    static const struct {
        const char *name, *instead;
    } javas[] = {
        {"sasl.jaas.config", "set sasl.username and sasl.password"},
        {"ssl.truststore.location", "set ssl.ca.location to a file in PEM"},
        {"ssl.truststore.certificates", "set ssl.ca.pem"},
        {"ssl.truststore.password", "ssl.ca.location, a file in PEM, has none"},
        {"ssl.truststore.type", "ssl.ca.location is in PEM"},
        {"ssl.keystore.type",
         "ssl.certificate.location and ssl.key.location are in PEM, ssl.keystore.location PKCS#12"},
        {"ssl.keystore.key", "set ssl.key.pem"},
        {"ssl.keystore.certificate.chain", "set ssl.certificate.pem"},
        {"sasl.login.callback.handler.class", "give .security with .token"},
        {"key.serializer", "keys are bytes"},
        {"value.serializer", "values are bytes, or events of a type"},
        {"key.deserializer", "keys are bytes"},
        {"value.deserializer", "values are bytes, or events of a type"},
        {"max.poll.records", "kur_consumer_poll_batch takes the largest number"},
        {"max.block.ms", "set .queue_wait_ms of the producer"},
        {"buffer.memory", "set .queue_kbytes of the producer"},
    };
    for (size_t i = 0; i < sizeof javas / sizeof *javas; i++)
        if (strcmp(javas[i].name, name) == 0)
            return javas[i].instead;
    return NULL;
}

static kur_status unknown_property(const char *name, kur_error *error)
{
    /* What librdkafka's list of names and values leaves out: aliases, and properties without a default. */
    static const char *unlisted[] = {"bootstrap.servers",
                                     "",
                                     "linger.ms",
                                     "",
                                     "compression.type",
                                     "",
                                     "delivery.timeout.ms",
                                     "",
                                     "sasl.mechanism",
                                     "",
                                     "retries",
                                     "",
                                     "max.in.flight",
                                     "",
                                     "fetch.max.wait.ms",
                                     "",
                                     "message.send.max.retries",
                                     "",
                                     "sasl.username",
                                     "",
                                     "sasl.password",
                                     "",
                                     "ssl.ca.location",
                                     "",
                                     "ssl.certificate.location",
                                     "",
                                     "ssl.key.location",
                                     "",
                                     "ssl.key.password",
                                     "",
                                     "ssl.ca.pem",
                                     "",
                                     "ssl.certificate.pem",
                                     "",
                                     "ssl.key.pem",
                                     "",
                                     "group.instance.id",
                                     "",
                                     "client.rack",
                                     "",
                                     "sasl.oauthbearer.config",
                                     "",
                                     "ssl.cipher.suites",
                                     "",
                                     "ssl.keystore.location",
                                     "",
                                     "ssl.crl.location",
                                     "",
                                     "ssl.keystore.password",
                                     "",
                                     "ssl.curves.list",
                                     "",
                                     "ssl.sigalgs.list",
                                     "",
                                     "debug",
                                     ""};
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
        if (strncmp(why, "Configuration property ", 23) == 0 && strstr(why, "not supported in this build") != NULL)
            return kur_error_set(error, KUR_ERROR_UNSUPPORTED, "this librdkafka (%s) was built without %s",
                                 rd_kafka_version_str(), name);
        /* librdkafka's own text quotes the value. */
        if (kur__config_is_secret(name))
            return kur_error_set(error, KUR_ERROR_CONFIG, "%s: the value is not valid", name);
        return kur_error_set(error, KUR_ERROR_CONFIG, "%s: %s", name, why);
    }
}

static kur_status check(const kur__config *config, const char *name, const char *value, kur_error *error)
{
    if (name == NULL || name[0] == '\0' || strlen(name) >= NAME_SIZE_MAX)
        return kur_error_set(error, KUR_ERROR_CONFIG, "a property's name is empty or longer than %d characters",
                             NAME_SIZE_MAX - 1);
    if (value == NULL)
        return kur_error_set(error, KUR_ERROR_CONFIG, "%s: the value is NULL", name);
    if (!kur_bytes_is_utf8(kur_bytes_text(value)))
        return kur_error_set(error, KUR_ERROR_CONFIG, "%s: the value is not UTF-8", name);
    const char *why = instead_of_java(name);
    if (why != NULL)
        return kur_error_set(error, KUR_ERROR_CONFIG, "%s is of Java's clients: %s", name, why);
    why = refusal(config, name);
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
    kur_status status = check(config, name, value, error);
    if (status != KUR_OK)
        return status;
    size_t size = strlen(name);
    kur__setting *made = kur_calloc(1, sizeof *made + size + 1), *before;
    if (made == NULL)
        return kur__error_no_memory(error);
    memcpy(made->name, name, size + 1);
    made->value = kur_strdup(value);
    made->origin = kur_strdup(config->origin != NULL ? config->origin : "");
    if (made->value == NULL || made->origin == NULL) {
        setting_free(made);
        return kur__error_no_memory(error);
    }
    HASH_FIND(hh, config->settings, name, size, before);
    if (before != NULL) {
        /* To the end: librdkafka has names for the same thing, and of those the one that is applied last counts. */
        HASH_DEL(config->settings, before);
        setting_free(before);
    }
    HASH_ADD(hh, config->settings, name, size, made);
    if (made->hh.tbl != NULL)
        return KUR_OK;
    setting_free(made);
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
        char origin[512];
        snprintf(origin, sizeof origin, "%s:%d", file_name, line);
        config->origin = origin;
        kur_status status = read_line(config, next, (size_t)(line_end - next), error);
        config->origin = NULL;
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
