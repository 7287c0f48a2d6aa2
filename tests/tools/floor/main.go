// The least that an admission webhook can do: decode, allow; with a file named, answer each mutation with
// the patch in it.
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"os"
)

func main() {
	patch := ""
	if len(os.Args) > 4 {
		text, err := os.ReadFile(os.Args[4])
		if err != nil {
			log.Fatal(err)
		}
		patch = fmt.Sprintf(`,"patchType":"JSONPatch","patch":%q`, text)
	}
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		var review struct{ Request struct{ UID string } }
		if json.NewDecoder(r.Body).Decode(&review) != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		more := ""
		if r.URL.Path == "/mutate" {
			more = patch
		}
		fmt.Fprintf(w, `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":{"uid":%q,"allowed":true%s}}`, review.Request.UID, more)
	})
	log.Fatal(http.ListenAndServeTLS(os.Args[1], os.Args[2], os.Args[3], nil))
}
