# One interface target for the language, the warnings, the hardening and the sanitizers.
add_library(chat_flags INTERFACE)
set(CMAKE_C_STANDARD 17)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

target_compile_definitions(chat_flags INTERFACE _GNU_SOURCE CHAT_WORKER_VERSION="${PROJECT_VERSION}")
target_compile_options(chat_flags INTERFACE
  -Wall -Wextra -Wformat=2 -Wconversion -Wsign-conversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes
  -Wvla -Wswitch-enum -Wundef -Wpointer-arith -Wwrite-strings -Wcast-qual -Wimplicit-fallthrough
  -Werror=implicit -Werror=incompatible-pointer-types -Werror=int-conversion -Werror=format-security
  -fno-strict-aliasing)
if(CHAT_WORKER_COVERAGE)
  target_compile_options(chat_flags INTERFACE --coverage -fprofile-abs-path -fprofile-update=atomic)
  target_link_options(chat_flags INTERFACE --coverage)
else() # the coverage tool has to find the sources again
  target_compile_options(chat_flags INTERFACE -ffile-prefix-map=${CMAKE_SOURCE_DIR}/=)
endif()
if(CMAKE_C_COMPILER_ID STREQUAL "GNU") # clang refuses to be told of warnings that it does not have
  target_compile_options(chat_flags INTERFACE
    -Wno-format-truncation # bounded messages are meant to be cut
    -Wno-nonnull-compare)  # assertions check what `static` bounds promise
endif()
if(CHAT_WORKER_WERROR)
  target_compile_options(chat_flags INTERFACE -Werror)
endif()

if(CHAT_WORKER_SANITIZE)
  # Hardening that defines what sanitizers look for would hide it from them.
  target_compile_options(chat_flags INTERFACE
    -fsanitize=${CHAT_WORKER_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(chat_flags INTERFACE -fsanitize=${CHAT_WORKER_SANITIZE})
elseif(CMAKE_BUILD_TYPE MATCHES "Rel")
  target_compile_options(chat_flags INTERFACE
    -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fstack-clash-protection
    -fno-delete-null-pointer-checks -fno-strict-overflow -ftrivial-auto-var-init=zero)
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64")
    target_compile_options(chat_flags INTERFACE -fcf-protection=full)
  endif()
  target_link_options(chat_flags INTERFACE -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack -Wl,--as-needed)
endif()

if(CHAT_WORKER_SANITIZE MATCHES "thread")
  # librdkafka's C11 threads, made visible to the sanitizer; pulled into every program.
  add_library(chat_c11_threads STATIC ${CMAKE_SOURCE_DIR}/tests/tsan/c11_threads.c)
  target_compile_definitions(chat_c11_threads PRIVATE _GNU_SOURCE)
  target_compile_options(chat_c11_threads PRIVATE -fsanitize=thread)
  target_link_options(chat_flags INTERFACE -Wl,--undefined=thrd_create)
  target_link_libraries(chat_flags INTERFACE chat_c11_threads)
endif()

# Assertions are ours (common/assertion.h) and stay on; NDEBUG only silences those of others' headers.
