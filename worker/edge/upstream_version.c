#include "worker/edge/upstream_version.h"

#include <stdio.h>

#include <curl/curl.h>

void upstream_version(char *out_text, size_t size)
{
	const curl_version_info_data *info = curl_version_info(CURLVERSION_NOW);
	(void)snprintf(out_text, size, "%s%s%s", info->version, info->ssl_version == NULL ? "" : " ",
		info->ssl_version == NULL ? "" : info->ssl_version);
}
