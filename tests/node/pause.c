/* Holds the namespaces of a Pod: waits, gathers its orphans, and ends when told. */
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static void quit(int number) {
  (void)number;
  _exit(0);
}

static void gather(int number) {
  (void)number;
  while (waitpid(-1, NULL, WNOHANG) > 0) {
  }
}

int main(void) {
  signal(SIGINT, quit);
  signal(SIGTERM, quit);
  signal(SIGCHLD, gather);
  for (;;) pause();
}
