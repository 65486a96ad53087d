/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include "mail.h"

#include <curl/curl.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define PLAIN "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"

struct mail {
    const char *url;
    const char *directory;
    CURL *curl; /* its connection stays open from letter to letter */
};

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void begin(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

struct mail *mail_open(const char *url, const char *directory, kur_error *error)
{
    struct mail *mail = calloc(1, sizeof *mail);
    if (mail == NULL) {
        kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory");
        return NULL;
    }
    *mail = (struct mail){.url = url, .directory = directory};
    if (url == NULL && mkdir(directory, 0700) != 0 && errno != EEXIST)
        kur_error_set(error, KUR_ERROR_SYSTEM, "--mail-dir %s: %s", directory, strerror(errno));
    else if (url != NULL && (pthread_once(&once, begin) != 0 || (mail->curl = curl_easy_init()) == NULL))
        kur_error_set(error, KUR_ERROR_SYSTEM, "libcurl does not start");
    else
        return mail;
    free(mail);
    return NULL;
}

void mail_close(struct mail *mail)
{
    if (mail == NULL)
        return;
    curl_easy_cleanup(mail->curl);
    free(mail);
}

bool mail_is_address(const char *text)
{
    const char *at = strchr(text, '@');
    return at != NULL && at != text && at[1] != '\0' && strchr(at + 1, '@') == NULL &&
           strspn(text, PLAIN "@.+") == strlen(text);
}

bool mail_can_say(const char *charset, const char *text)
{
    if (strcmp(charset, "us-ascii") != 0)
        return true;
    for (; *text != '\0'; text++)
        if ((unsigned char)*text > 0x7f)
            return false;
    return true;
}

/* Under another name first: a letter is there or it is not, and a second time changes nothing. */
static enum mail_result put(const struct mail *mail, const char *name, const kur_buffer *letter, kur_error *error)
{
    char path[1024], draft[1024];
    int size = snprintf(path, sizeof path, "%s/%s.eml", mail->directory, name);
    int draft_size = snprintf(draft, sizeof draft, "%s/.%s.part", mail->directory, name);
    if (strspn(name, PLAIN) != strlen(name) || size >= (int)sizeof path || draft_size >= (int)sizeof draft) {
        kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "this cannot be a file's name");
        return MAIL_NEVER;
    }
    FILE *file = fopen(draft, "w");
    bool written = file != NULL && fwrite(letter->data, 1, letter->size, file) == letter->size;
    if (file != NULL)
        written = fclose(file) == 0 && written;
    if (written && rename(draft, path) == 0)
        return MAIL_SENT;
    kur_error_set(error, KUR_ERROR_SYSTEM, "%s: %s", draft, strerror(errno));
    return MAIL_NOT_NOW;
}

static size_t read_letter(char *into, size_t size, size_t count, void *user)
{
    kur_bytes *left = user;
    size_t taken = size * count < left->size ? size * count : left->size;
    memcpy(into, left->data, taken);
    *left = kur_bytes_of((const char *)left->data + taken, left->size - taken);
    return taken;
}

static enum mail_result post(const struct mail *mail, const char *to, const kur_buffer *letter, kur_error *error)
{
    char why[CURL_ERROR_SIZE] = "";
    long code = 0;
    kur_bytes left = kur_bytes_of(letter->data, letter->size);
    struct curl_slist *recipients = curl_slist_append(NULL, to);
    curl_easy_setopt(mail->curl, CURLOPT_URL, mail->url);
    curl_easy_setopt(mail->curl, CURLOPT_MAIL_FROM, "shop@example.org");
    curl_easy_setopt(mail->curl, CURLOPT_MAIL_RCPT, recipients);
    curl_easy_setopt(mail->curl, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(mail->curl, CURLOPT_READFUNCTION, read_letter);
    curl_easy_setopt(mail->curl, CURLOPT_READDATA, &left);
    curl_easy_setopt(mail->curl, CURLOPT_TIMEOUT, 30L);
    curl_easy_setopt(mail->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(mail->curl, CURLOPT_ERRORBUFFER, why);
    CURLcode result = recipients != NULL ? curl_easy_perform(mail->curl) : CURLE_OUT_OF_MEMORY;
    curl_easy_getinfo(mail->curl, CURLINFO_RESPONSE_CODE, &code);
    curl_easy_setopt(mail->curl, CURLOPT_ERRORBUFFER, NULL);
    curl_slist_free_all(recipients);
    if (result == CURLE_OK)
        return MAIL_SENT;
    kur_error_set(error, KUR_ERROR_SYSTEM, "%s", why[0] != '\0' ? why : curl_easy_strerror(result));
    return code >= 500 ? MAIL_NEVER : MAIL_NOT_NOW;
}

enum mail_result mail_send(struct mail *mail, const char *name, const char *to, const kur_buffer *letter,
                           kur_error *error)
{
    return mail->url != NULL ? post(mail, to, letter, error) : put(mail, name, letter, error);
}
