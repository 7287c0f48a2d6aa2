import requests
import os
access_token_endpoint='http://localhost:8899/access-token'
resp = requests.get(access_token_endpoint)
domino_api_key = os.environ['DOMINO_USER_API_KEY']

token = resp.text
headers = {
             "Content-Type": "application/json",
             "X-Domino-Api-Key": domino_api_key,
        }
#Example
endpoint='http://rayclusterscaler-svc.domino-field/rayclusterscaler/list'
resp = requests.get(endpoint,headers=headers)
