/* Checks of settings against each other and against what their texts must mean; worker/settings.c calls them after
 * filling the members. Every problem goes to the settings' table. Pure, but for settings_check_host(). */
#ifndef WORKER_SETTINGS_CHECK_H
#define WORKER_SETTINGS_CHECK_H

#include "worker/settings.h"

/* Times nest, bounds fit into each other, what is required is there. */
void settings_check_values(struct settings *settings);

/* URLs, addresses, topic names, header texts, JSON. */
void settings_check_texts(struct settings *settings);

#endif
