/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * librdkafka's properties as a client collects them: from a file, the environment and options, the later set one
 * counts.
 */
#ifndef KURIER_KAFKA_CONFIG_H
#define KURIER_KAFKA_CONFIG_H

#include <kurier/bytes.h>
#include <librdkafka/rdkafka.h>

typedef struct kur__setting kur__setting;

/* Starts as {0}. */
typedef struct kur__config {
    kur__setting *settings; /* by name */
    const char *origin;     /* of what is set next, "environment"; NULL: not told */
    bool allows_code;       /* whether properties that load code or run commands may be set */
} kur__config;

void kur__config_done(kur__config *config);

/*
 * Checks and stores a property. KUR_ERROR_CONFIG names it, with the closest right name when it is unknown, and never
 * shows the value of one that may hold a secret.
 */
kur_status kur__config_set(kur__config *config, const char *name, const char *value, kur_error *error);

/* Whether a value of this name may be a secret, of which errors and logs show nothing; rather too often than not. */
bool kur__config_is_secret(const char *name);

/* What was collected, from the first set to the last; NULL behind the last. `setting` NULL asks for the first. */
const kur__setting *kur__config_next(const kur__config *config, const kur__setting *setting, const char **name,
                                     const char **value, const char **origin);

/* The value that is set, or NULL. */
const char *kur__config_get(const kur__config *config, const char *name);

/* Reads lines of `name = value`; errors begin with "name_of_file:line: ". */
kur_status kur__config_read(kur__config *config, const char *file_name, kur_bytes text, kur_error *error);
kur_status kur__config_load(kur__config *config, const char *path, kur_error *error);

/* Sets all that was collected. */
kur_status kur__config_apply(const kur__config *config, rd_kafka_conf_t *conf, kur_error *error);

#endif
